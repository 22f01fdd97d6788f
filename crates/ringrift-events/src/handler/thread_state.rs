//! What a thread of this process is at, in the kernel's words. Best effort: what cannot be read is
//! unknown.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use crate::store::records::StallClass;

/// Processor time of a thread at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Used {
    /// Time on a processor.
    pub(super) run: Duration,
    /// Time in which it could have run and had none.
    pub(super) queued: Duration,
}

/// What a thread is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doing {
    /// The kernel's letter of its state.
    pub(super) state: Option<char>,
    /// The system call it is in.
    pub(super) syscall: Option<String>,
    /// What the call's descriptor is.
    pub(super) object: Option<String>,
}

/// What the thread has used so far.
pub(super) fn used(tid: u32) -> Option<Used> {
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let (run, queued) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Used {
        run: Duration::from_nanos(run),
        queued: Duration::from_nanos(queued),
    })
}

/// Looks what the thread is at.
pub(super) fn doing(tid: u32) -> Doing {
    let task = format!("/proc/self/task/{tid}");
    let state = fs::read_to_string(format!("{task}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
    let call = fs::read_to_string(format!("{task}/syscall")).unwrap_or_default();
    let mut words = call.split_whitespace();
    let Some(number) = words.next().and_then(|word| word.parse::<i64>().ok()) else {
        // It runs, or the kernel does not tell.
        return Doing {
            state,
            ..Doing::default()
        };
    };
    let first = words.next().and_then(|word| {
        let digits = word.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok()
    });
    let (name, subject) = name_of(number);
    let descriptor = match subject {
        Subject::None => None,
        Subject::Descriptor => first,
        Subject::Polled => first.and_then(first_polled),
    };
    Doing {
        state,
        syscall: Some(name.map_or_else(|| format!("system call {number}"), str::to_owned)),
        object: descriptor.and_then(object_of),
    }
}

/// What keeps a thread that was watched for `watched` and used so much of it.
pub(super) fn class(used: Option<Used>, watched: Duration, state: Option<char>) -> StallClass {
    match (used, state) {
        (Some(used), _) if !watched.is_zero() => {
            // What it could not get of the processor is the processor's lack too.
            let share = (used.run + used.queued).as_secs_f64() / watched.as_secs_f64();
            match share {
                share if share >= 0.6 => StallClass::Cpu,
                share if share <= 0.3 => StallClass::Io,
                _ => StallClass::Unknown,
            }
        }
        (_, Some('R')) => StallClass::Cpu,
        (_, Some('S' | 'D')) => StallClass::Io,
        _ => StallClass::Unknown,
    }
}

/// What a system call's first argument says of what it waits for.
#[derive(Clone, Copy)]
enum Subject {
    None,
    /// It is a descriptor.
    Descriptor,
    /// It is an array of polled descriptors.
    Polled,
}

fn name_of(number: i64) -> (Option<&'static str>, Subject) {
    use Subject::{Descriptor, None as Nothing, Polled};
    let known = [
        (libc::SYS_read, "read", Descriptor),
        (libc::SYS_write, "write", Descriptor),
        (libc::SYS_readv, "readv", Descriptor),
        (libc::SYS_writev, "writev", Descriptor),
        (libc::SYS_pread64, "pread64", Descriptor),
        (libc::SYS_pwrite64, "pwrite64", Descriptor),
        (libc::SYS_recvfrom, "recvfrom", Descriptor),
        (libc::SYS_sendto, "sendto", Descriptor),
        (libc::SYS_recvmsg, "recvmsg", Descriptor),
        (libc::SYS_sendmsg, "sendmsg", Descriptor),
        (libc::SYS_connect, "connect", Descriptor),
        (libc::SYS_accept4, "accept4", Descriptor),
        (libc::SYS_fsync, "fsync", Descriptor),
        (libc::SYS_fdatasync, "fdatasync", Descriptor),
        (libc::SYS_flock, "flock", Descriptor),
        (libc::SYS_fcntl, "fcntl", Descriptor),
        (libc::SYS_ioctl, "ioctl", Descriptor),
        (libc::SYS_epoll_pwait, "epoll_pwait", Descriptor),
        (libc::SYS_ppoll, "ppoll", Polled),
        (libc::SYS_openat, "openat", Nothing),
        (libc::SYS_futex, "futex", Nothing),
        (libc::SYS_nanosleep, "nanosleep", Nothing),
        (libc::SYS_clock_nanosleep, "clock_nanosleep", Nothing),
        (libc::SYS_wait4, "wait4", Nothing),
        (libc::SYS_waitid, "waitid", Nothing),
        (libc::SYS_sched_yield, "sched_yield", Nothing),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_poll, "poll", Polled),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_accept, "accept", Descriptor),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_epoll_wait, "epoll_wait", Descriptor),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, "open", Nothing),
    ];
    let found = known.into_iter().find(|(known, ..)| *known == number);
    found.map_or((None, Nothing), |(_, name, subject)| (Some(name), subject))
}

/// The first descriptor of an array of `struct pollfd` in this process's memory.
fn first_polled(at: u64) -> Option<u64> {
    let mut descriptor = [0_u8; 4];
    let memory = fs::File::open("/proc/self/mem").ok()?;
    memory.read_exact_at(&mut descriptor, at).ok()?;
    u64::try_from(i32::from_ne_bytes(descriptor)).ok()
}

/// The file or the peer behind a descriptor of this process.
fn object_of(descriptor: u64) -> Option<String> {
    let link = fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
    let link = link.to_string_lossy().into_owned();
    let inode = link
        .strip_prefix("socket:[")
        .and_then(|rest| rest.strip_suffix(']'));
    match inode {
        None => Some(link),
        Some(inode) => Some(peer_of(inode).unwrap_or(link)),
    }
}

/// The address of the other side of a socket.
fn peer_of(inode: &str) -> Option<String> {
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        let Ok(table) = fs::read_to_string(format!("/proc/self/net/{protocol}")) else {
            continue;
        };
        let row = table.lines().skip(1).find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words.get(9) == Some(&inode)).then(|| words[2].to_owned())
        });
        if let Some(address) = row.and_then(|row| address(&row)) {
            return Some(format!("{}:{address}", protocol.trim_end_matches('6')));
        }
    }
    let table = fs::read_to_string("/proc/self/net/unix").ok()?;
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.get(6) == Some(&inode)).then(|| {
            let path = words.get(7).copied().unwrap_or("without a name");
            format!("unix:{path}")
        })
    })
}

/// `0100007F:1F90` is `127.0.0.1:8080`: words of the machine's byte order, in hexadecimal.
fn address(text: &str) -> Option<String> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = host
        .as_bytes()
        .chunks(8)
        .map(|word| {
            let word = std::str::from_utf8(word).ok()?;
            Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    if let Ok(four) = <[u8; 4]>::try_from(&*bytes) {
        return Some(format!("{}:{port}", std::net::Ipv4Addr::from(four)));
    }
    let sixteen = <[u8; 16]>::try_from(&*bytes).ok()?;
    Some(format!("[{}]:{port}", std::net::Ipv6Addr::from(sixteen)))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::handler::testing::until;

    #[test]
    fn a_thread_that_reads_a_silent_peer_tells_the_call_and_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, tid) = std::sync::mpsc::sync_channel(1);
        let reader = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            told.send(rustix::thread::gettid().as_raw_nonzero().get())
                .unwrap();
            let mut byte = [0];
            stream.read(&mut byte).unwrap()
        });
        let (peer, _) = listener.accept().unwrap();
        let tid = u32::try_from(tid.recv().unwrap()).unwrap();
        until("the thread waits", || doing(tid).syscall.is_some());
        let found = doing(tid);
        assert_eq!(found.syscall.as_deref(), Some("recvfrom"));
        assert_eq!(found.object, Some(format!("tcp:{address}")));
        assert_eq!(found.state, Some('S'));
        drop(peer);
        assert_eq!(reader.join().unwrap(), 0);
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        assert_eq!(address("0100007F:1F90").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(
            address("00000000000000000000000001000000:0050").as_deref(),
            Some("[::1]:80")
        );
        assert_eq!(address("nonsense"), None);
    }

    #[test]
    fn a_class_is_told_from_the_share_of_processor_time() {
        let used = |run, queued| {
            Some(Used {
                run: Duration::from_millis(run),
                queued: Duration::from_millis(queued),
            })
        };
        let second = Duration::from_secs(1);
        for (used, state, told) in [
            (used(950, 0), Some('R'), StallClass::Cpu),
            // Ten others want the processor as well.
            (used(100, 850), Some('R'), StallClass::Cpu),
            (used(1, 2), Some('S'), StallClass::Io),
            (used(300, 150), Some('S'), StallClass::Unknown),
            (None, Some('R'), StallClass::Cpu),
            (None, Some('D'), StallClass::Io),
            (None, None, StallClass::Unknown),
        ] {
            assert_eq!(class(used, second, state), told, "{used:?} {state:?}");
        }
    }
}
