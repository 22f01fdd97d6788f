//! Process pages: one small mapped file a process, locked for life, that others read.
