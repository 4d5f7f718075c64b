# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers and agents say, with what is to be redacted in braces: `{name:Anna}`. Ours; a good third is harmless."""

import re
from dataclasses import dataclass

from agent.redaction.kinds import LABELS, Kind

_MARK = re.compile(r"\{(card|iban|email|birthdate|number|name):([^}]*)\}")
_KINDS: dict[str, Kind] = {label.strip("[]"): kind for kind, label in LABELS.items()}

SENTENCES = """
Sure, it's {card:4111 1111 1111 1111}.
The card is {card:four one one one one one one one one one one one one one one one}, thank you.
{card:5500-0000-0000-0004} and the name on it is {name:Robert Miller}
okay {card:forty one eleven eleven eleven eleven eleven eleven eleven}
It's a Mastercard, {card:five five oh oh, oh oh oh oh, oh oh oh oh, oh oh oh four}.
My Amex is {card:three seven eight two eight two two four six three one oh oh oh five}
the security code is {card:one two three}
It expires {card:12 27}, the security code {card:737}.
card number {card:6011 0009 9013 9424} please
You can reach me on {number:+49 30 901820}.
my number is {number:five five five oh one four two}
call me back at {number:202 555 0142} after nine
it's {number:oh seven seven double oh nine hundred, no, nine oh oh one two three}
My customer number is {number:448 291}.
the policy number is {number:four four eight two nine one seven}
account {number:12345678} at the Commerzbank
my pin is {number:4 8 2 1}
The reference is {number:99 31 07}.
Ring {number:(030) 1234-5678} and ask for the workshop
extension {number:four one two}
My IBAN is {iban:DE89 3704 0044 0532 0130 00}.
it's {iban:GB82 WEST 1234 5698 7654 32}, with that bank
please use {iban:FR1420041010050500013M02606}
{iban:D E eight nine three seven oh four oh oh four four oh five three two oh one three oh oh oh}
You can write to {email:anna.smith@example.com}.
my email is {email:anna dot smith at example dot com}
it's {email:a n n a underscore s at mail dot example dot org}
send it to {email:info at green-lane dot co dot uk} please
My e-mail address is {email:peter smith at example dot net}
{email:bob1984@mail.example.org}, all in small letters
I was born on {birthdate:March 3rd 1984}
my date of birth is {birthdate:the third of March nineteen eighty four}
date of birth {birthdate:03/03/1984}
Born {birthdate:1984-03-03}, in Hamburg.
my birthday is {birthdate:July 9th}
My name is {name:Anna Smith} and I'd like an appointment.
my name is {name:anna smith} and i'd like an appointment
Hello, this is {name:Bob Jones} calling about the invoice.
{name:Maria Garcia} speaking, good morning.
I'm {name:Peter}, from the garage.
you can call me {name:Pete}
Am I speaking to {name:Mrs Novak}?
I would like to talk to Dr. {name:Schneider} please.
It's {name:Thomas}.
The name's {name:Bond}, {name:James Bond}.
Hello my name is {name:Jean-Luc Picard}.
My last name is {name:O'Neill}
this is {name:karen} calling from the clinic
Please tell {name:Fatima} that I called.
Is {name:Mr. Brown} there?
hi it's {name:susan} again
I have a table for {name:Lindqvist} at eight
Thanks, {name:Anna}.
put me through to {name:Oliver} in sales
We open at nine and close at half past five.
The price is 1,250,000 dollars.
It costs $250000, or 230000 euros.
I'd like to come on 2026-11-23 at 17:30.
That was on March 3rd, I think.
See you on the fourth of July.
Room 204 please, on the second floor.
I need two coffees, four rolls and one of those cakes.
I'm sorry, I'm busy at the moment.
This is really important to me.
I'm calling about my order.
It's fine, thank you.
I am not sure what you mean.
My car needs new brakes, it's a Golf from 2014.
How much does a cleaning cost?
One, two, three, testing.
He is at the office dot dot dot.
I'm at home, so any time.
What's your name?
Could I have your phone number?
It takes twenty to thirty minutes.
You have three options: sales, service and parts.
there were about two thousand people there
I'll be there at ten fifteen.
We met in nineteen eighty four.
It's the one on the left.
This is Monday, isn't it?
I'm Happy to help.
Thanks, bye.
Can I speak to somebody about my bill?
The street is called Green Lane.
I had three appointments in May, in June and in July.
He said, and I quote, never again.
I am interested in the blue one.
My name was misspelled in the letter.
call me back when you know more
This is great news, thank you so much.
"""


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence, and where what is in it."""

    text: str
    spans: tuple[tuple[int, int, Kind], ...]


def marked_sentences() -> list[Marked]:
    """All of them."""
    return [_marked(line) for line in SENTENCES.strip().splitlines()]


def _marked(line: str) -> Marked:
    text, spans, at = "", [], 0
    for found in _MARK.finditer(line):
        text += line[at : found.start()]
        spans.append((len(text), len(text) + len(found[2]), _KINDS[found[1]]))
        text += found[2]
        at = found.end()
    return Marked(text + line[at:], tuple(spans))
