# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays of a call: its session, transcript and turns in a database, its recording in a file.

calls > SessionStore (repository) > tables
start > opening > folder (data folder, one mark per process) > schema (migrations) > repository
"""

from gateway.store.folder import DataFolder
from gateway.store.memories import MemoryRows
from gateway.store.opening import open_store
from gateway.store.records import (
    ApiKeyRecord,
    ConsentRecord,
    Direction,
    KeptAnswer,
    KeyLimits,
    MemoryRecord,
    Quality,
    RecordingFacts,
    Role,
    SessionRecord,
    SessionSummary,
    TranscriptEntry,
    TurnRecord,
)
from gateway.store.repository import SessionStore

__all__ = [
    "ApiKeyRecord",
    "ConsentRecord",
    "DataFolder",
    "Direction",
    "KeptAnswer",
    "KeyLimits",
    "MemoryRecord",
    "MemoryRows",
    "Quality",
    "RecordingFacts",
    "Role",
    "SessionRecord",
    "SessionStore",
    "SessionSummary",
    "TranscriptEntry",
    "TurnRecord",
    "open_store",
]
