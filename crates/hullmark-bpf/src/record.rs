//! The records that the kernel side writes into the ring buffer. They come from our own program in the kernel, and are parsed
//! all the same as if they did not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Size of what comes before the ancestry.
const HEADER_SIZE: usize = 64;
const ANCESTORS: usize = 8;
const NAME_SIZE: usize = 16;
const PROCESS_SIZE: usize = 4 + NAME_SIZE;
const PATH_SIZE: usize = 256;
/// Size of a record without a path.
pub(crate) const SHORT_EVENT_SIZE: usize = HEADER_SIZE + ANCESTORS * PROCESS_SIZE;
/// Size of a record with a path.
pub(crate) const EVENT_SIZE: usize = SHORT_EVENT_SIZE + PATH_SIZE;

const FLAG_KILLED: u32 = 1;
const FLAG_SCRIPT: u32 = 2;
const FLAG_OUTSIDE: u32 = 4;
const FLAG_MEMFD: u32 = 8;
const FLAG_LOADER: u32 = 16;
const FLAG_UNCHECKED: u32 = 32;

/// Bytes that are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record of kind {kind} with {size} bytes is not one that this program knows")]
pub struct RecordError {
    /// The kind it says it has.
    pub kind: u16,
    /// How many bytes there are.
    pub size: usize,
}

/// A process in an ancestry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelProcess {
    /// Its id on the host.
    pub pid: u32,
    /// Its name, as the kernel has it.
    pub name: String,
}

/// Where an executed program came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProgramOrigin {
    /// From a place with a gate: it was judged by its content before.
    Gated,
    /// From a place without a gate.
    Outside,
    /// From memory: it has no name in any file system.
    Memory,
}

/// A program was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelExec {
    /// The path that was asked for, cut to 255 bytes.
    pub path: String,
    /// Where the program came from.
    pub origin: ProgramOrigin,
    /// It is a script.
    pub script: bool,
    /// `origin` is that of the dynamic loader which the program names, not of the program.
    pub loader: bool,
    /// The place of the dynamic loader could not be looked up.
    pub unchecked: bool,
    /// It was killed before its first instruction.
    pub killed: bool,
    /// Device of the program's file, in the kernel's form.
    pub device: u32,
    /// Inode of the program's file.
    pub inode: u64,
}

/// A process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelExit {
    /// The exit code, when it ended by itself.
    pub code: Option<u8>,
    /// The signal that ended it.
    pub signal: Option<u8>,
}

/// A connection was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelConnect {
    /// To which address.
    pub address: IpAddr,
    /// To which port.
    pub port: u16,
    /// The protocol's number: 6 is TCP, 17 UDP.
    pub protocol: u8,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelEventKind {
    /// A program was executed.
    Exec(KernelExec),
    /// A process ended.
    Exit(KernelExit),
    /// A connection was asked for.
    Connect(KernelConnect),
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelEvent {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// The number of the container.
    pub container: u64,
    /// The user on the host.
    pub user: u32,
    /// The process, then its parents.
    pub ancestry: Vec<KernelProcess>,
    /// What happened.
    pub kind: KernelEventKind,
}

impl KernelEvent {
    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let record = Record(bytes);
        let kind = record.u16(0).unwrap_or_default();
        let error = || RecordError { kind, size: bytes.len() };
        let expected = if kind == 1 { EVENT_SIZE } else { SHORT_EVENT_SIZE };
        if bytes.len() != expected || record.u16(2) != u16::try_from(expected).ok() {
            return Err(error());
        }
        record.event(kind).ok_or_else(error)
    }
}

/// Little-endian numbers at fixed places.
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn text(&self, at: usize, size: usize) -> Option<String> {
        let bytes = self.0.get(at..at.checked_add(size)?)?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn ancestry(&self) -> Option<Vec<KernelProcess>> {
        let mut ancestry = Vec::new();
        for place in 0..ANCESTORS {
            let at = HEADER_SIZE + place * PROCESS_SIZE;
            let pid = self.u32(at)?;
            if pid == 0 {
                break;
            }
            ancestry.push(KernelProcess { pid, name: self.text(at + 4, NAME_SIZE)? });
        }
        Some(ancestry)
    }

    fn event(&self, kind: u16) -> Option<KernelEvent> {
        let code = self.u32(40)?;
        let kind = match kind {
            1 => {
                let flags = self.u32(4)?;
                let has = |flag| flags & flag != 0;
                let origin = match (has(FLAG_OUTSIDE), has(FLAG_MEMFD)) {
                    (false, _) => ProgramOrigin::Gated,
                    (true, false) => ProgramOrigin::Outside,
                    (true, true) => ProgramOrigin::Memory,
                };
                KernelEventKind::Exec(KernelExec {
                    path: self.text(SHORT_EVENT_SIZE, PATH_SIZE)?,
                    origin,
                    script: has(FLAG_SCRIPT),
                    loader: has(FLAG_LOADER),
                    unchecked: has(FLAG_UNCHECKED),
                    killed: has(FLAG_KILLED),
                    device: self.u32(32)?,
                    inode: self.u64(24)?,
                })
            }
            2 => {
                let [low, high, ..] = code.to_le_bytes();
                // As wait(2) has it: a signal in the low seven bits, else the code above them.
                KernelEventKind::Exit(match low & 0x7f {
                    0 => KernelExit { code: Some(high), signal: None },
                    signal => KernelExit { code: None, signal: Some(signal) },
                })
            }
            3 => {
                let address: [u8; 16] = self.array(48)?;
                let [a, b, c, d, ..] = address;
                let address = match self.u16(46)? {
                    2 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
                    10 => IpAddr::V6(Ipv6Addr::from(address)),
                    _ => return None,
                };
                let [protocol, ..] = code.to_le_bytes();
                KernelEventKind::Connect(KernelConnect { address, port: self.u16(44)?, protocol })
            }
            _ => return None,
        };
        Some(KernelEvent {
            time: self.u64(8)?,
            container: self.u64(16)?,
            user: self.u32(36)?,
            ancestry: self.ancestry()?,
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        bytes[..2].copy_from_slice(&kind.to_le_bytes());
        bytes[2..4].copy_from_slice(&u16::try_from(size).unwrap().to_le_bytes());
        bytes[64..68].copy_from_slice(&7_u32.to_le_bytes());
        bytes[68..71].copy_from_slice(b"sh\0");
        bytes
    }

    #[test]
    fn each_kind_is_read_and_other_bytes_are_refused() {
        let mut exec = record(1, EVENT_SIZE);
        exec[4] = 1 | 4 | 8;
        exec[SHORT_EVENT_SIZE..SHORT_EVENT_SIZE + 5].copy_from_slice(b"/x\0zz");
        let event = KernelEvent::parse(&exec).unwrap();
        let KernelEventKind::Exec(found) = event.kind else { panic!("{event:?}") };
        assert_eq!(
            (found.path.as_str(), found.origin, found.killed, found.script),
            ("/x", ProgramOrigin::Memory, true, false)
        );
        assert_eq!(event.ancestry, [KernelProcess { pid: 7, name: "sh".to_owned() }]);

        let mut exit = record(2, SHORT_EVENT_SIZE);
        exit[40..44].copy_from_slice(&0x100_u32.to_le_bytes());
        let ended = |bytes: &[u8]| KernelEvent::parse(bytes).unwrap().kind;
        assert_eq!(ended(&exit), KernelEventKind::Exit(KernelExit { code: Some(1), signal: None }));
        exit[40..44].copy_from_slice(&9_u32.to_le_bytes());
        assert_eq!(ended(&exit), KernelEventKind::Exit(KernelExit { code: None, signal: Some(9) }));

        let mut connect = record(3, SHORT_EVENT_SIZE);
        connect[40] = 6;
        connect[44..46].copy_from_slice(&443_u16.to_le_bytes());
        connect[46] = 2;
        connect[48..52].copy_from_slice(&[192, 0, 2, 7]);
        let expected = KernelConnect { address: [192, 0, 2, 7].into(), port: 443, protocol: 6 };
        assert_eq!(ended(&connect), KernelEventKind::Connect(expected));

        for bytes in [&connect[1..], &exec[..SHORT_EVENT_SIZE], &record(9, SHORT_EVENT_SIZE), &[]] {
            assert!(KernelEvent::parse(bytes).is_err());
        }
    }
}
