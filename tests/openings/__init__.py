# SPDX-License-Identifier: GPL-3.0-or-later
"""Who or what answers a call, made by code: people and machines, with what is known of them to the sample.

speakers.py   voices: Piper's, four of Flite's (libflite1), a recorded one (Asterisk's prompts)
opening.py    one call as the caller hears it, from its first early media on
corpus.py     all of them: texts (tests/data/openings.toml) x voices x lines, drawn from seeds, in three parts
ears.py       an opening through the real ears once: tones, music, speech, words, each when it would be told
replay.py     what was heard through the far end's engine, in no time
"""
