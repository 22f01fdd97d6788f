//! Keeps signals away from the database threads.
//!
//! A signal to the process goes to any thread that does not block it. Its handler is somebody
//! else's, and mostly writes a byte to a pipe of the process (tokio, asyncio): on a thread with a
//! descriptor table of its own that number leads nowhere, and the signal would be lost.
#![expect(unsafe_code, reason = "pthread_sigmask has no safe wrapper")]

use std::io;
use std::mem::MaybeUninit;

/// Raised by what the thread itself does: blocked, they would end the process without a word.
const OWN_FAULTS: [i32; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSYS,
    libc::SIGTRAP,
];

/// Blocks every signal but the thread's own faults on this thread and on all that it spawns.
pub(super) fn block() -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset writes the whole set before it is read, the set lives on this stack until
    // the calls return, and pthread_sigmask takes no pointer to an old mask. Changing which
    // signals this thread takes touches no memory of the program.
    let answer = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        for fault in OWN_FAULTS {
            libc::sigdelset(set.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut())
    };
    match answer {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
