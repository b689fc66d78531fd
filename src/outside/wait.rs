//! Staying with a container in the foreground: forward signals, carry the terminal's bytes, reap, return how it ended.
//!
//! No threads and no polling: one loop over a signal descriptor, with a terminal two streams, and under a
//! service manager what the payload tells it.

use super::console::own_terminal;
use super::notify::Proxy;
use super::spawn::Child;
use crate::error::{Context, Result};
use crate::sys::process::{self, Events, Exit, STREAMS, Watch};
use crate::sys::signal::{self, Signals};
use crate::sys::{self, Errno, Error, file, socket, tty};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Waits for the child's end. All signals have been blocked since before its clone, so none is lost.
pub fn attend(
    child: &Child,
    signals: &Signals,
    master: Option<OwnedFd>,
    mut proxy: Option<&mut Proxy>,
) -> Result<Exit> {
    let mut relay = master.map(Relay::new).transpose()?;
    loop {
        let mut watches = vec![Watch { file: signals.as_fd(), events: Events::READ }];
        watches.extend(proxy.as_ref().and_then(|proxy| proxy.to_watch()));
        let streams = watches.len();
        if let Some(relay) = &relay {
            watches.extend(relay.watches());
        }
        sys::retry(|| process::watch(&mut watches)).context("wait for the container")?;
        let ready: Vec<bool> = watches.iter().map(|watch| watch.events != Events::NONE).collect();
        drop(watches);
        if let Some(proxy) = proxy.as_mut().filter(|_| streams > 1 && ready[1]) {
            proxy.hand_on(process::pid());
        }
        if let Some(relay) = &mut relay
            && ready[streams..].contains(&true)
        {
            relay.carry()?;
        }
        if ready[0]
            && let Some(exit) = take_signals(child, signals, relay.as_ref())?
        {
            if let Some(relay) = &mut relay {
                relay.finish(signals).context("carry the end of the terminal's output")?;
            }
            return Ok(exit);
        }
    }
}

/// Handles what has arrived; returns the child's end when it is among it.
fn take_signals(child: &Child, signals: &Signals, relay: Option<&Relay>) -> Result<Option<Exit>> {
    let mut ended = None;
    while let Some(signal) = signals.next().context("read the signals")? {
        match signal {
            libc::SIGCHLD => {
                while let Some((pid, exit)) = process::reap().context("reap")? {
                    if pid == child.pid {
                        ended = Some(exit);
                    }
                }
            }
            libc::SIGWINCH if relay.is_some() => relay.into_iter().for_each(Relay::resize),
            libc::SIGURG => {} // nobody means it
            _ => match process::pidfd_signal(&child.pidfd, signal) {
                Ok(()) | Err(Error(Errno::ESRCH)) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("forward signal {signal}"));
                }
            },
        }
    }
    Ok(ended)
}

/// As much as is carried at once, in either direction.
const CHUNK: usize = 4096;
/// No terminal holds more bytes on their way to its master: the kernel keeps 8 KiB, and 4 KiB that the line discipline has taken.
const REST: usize = 64 * 1024;
/// How long the caller may take nothing of the rest, before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes on their way between the caller's streams and the container's terminal.
struct Relay {
    master: OwnedFd,
    /// The caller's terminal in raw mode; dropped, it is as it was.
    _raw: Option<tty::Raw>,
    to_container: Vec<u8>,
    to_caller: Vec<u8>,
    stdin: Stream,
    output: Stream,
    /// The caller's standard output, so that a write never waits, where it can be opened again.
    out: Option<OwnedFd>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Open,
    Ended,
}

impl Relay {
    fn new(master: OwnedFd) -> Result<Relay> {
        file::set_nonblocking(&master).context("prepare the terminal")?;
        let raw = if tty::is_terminal(STREAMS[0]) {
            own_terminal().map(tty::make_raw).transpose().context("put the caller's terminal into raw mode")?
        } else {
            None
        };
        let (stdin, output) = (Stream::Open, Stream::Open);
        let out = file::reopen_nonblocking(STREAMS[1]);
        Ok(Relay { master, _raw: raw, to_container: Vec::new(), to_caller: Vec::new(), stdin, output, out })
    }

    /// What there is to wait for: each direction waits either for bytes or for room, so nothing spins.
    fn watches(&self) -> Vec<Watch<'_>> {
        let mut watches = Vec::with_capacity(3);
        let mut master = Events::NONE;
        if self.output == Stream::Open && self.to_caller.is_empty() {
            master = master | Events::READ;
        }
        if !self.to_container.is_empty() {
            master = master | Events::WRITE;
        }
        if master != Events::NONE {
            watches.push(Watch { file: self.master.as_fd(), events: master });
        }
        if self.stdin == Stream::Open && self.to_container.is_empty() {
            watches.push(Watch { file: STREAMS[0], events: Events::READ });
        }
        if !self.to_caller.is_empty() {
            watches.push(Watch { file: STREAMS[1], events: Events::WRITE });
        }
        watches
    }

    /// Carries what can be carried without waiting.
    fn carry(&mut self) -> Result<()> {
        if self.stdin == Stream::Open && self.to_container.is_empty() && process::is_ready(STREAMS[0], Events::READ) {
            let mut buffer = [0u8; CHUNK];
            match file::read(STREAMS[0], &mut buffer) {
                Ok(0) | Err(Error(Errno::EIO)) => self.stdin = Stream::Ended,
                Ok(n) => self.to_container.extend_from_slice(&buffer[..n]),
                Err(Error(Errno::EAGAIN | Errno::EINTR)) => {}
                Err(error) => return Err(error).context("read stdin"),
            }
        }
        send_some(&self.master, &mut self.to_container);
        if self.output == Stream::Open && self.to_caller.is_empty() {
            self.read_output();
        }
        if !self.to_caller.is_empty() && process::is_ready(STREAMS[1], Events::WRITE) {
            self.send_to_caller();
        }
        Ok(())
    }

    fn read_output(&mut self) {
        let mut buffer = [0u8; CHUNK];
        match file::read(&self.master, &mut buffer) {
            Ok(n) if n > 0 => self.to_caller.extend_from_slice(&buffer[..n]),
            Err(Error(Errno::EAGAIN | Errno::EINTR)) => {}
            // EIO: nobody has the terminal open any more. It may be opened again only by somebody who is still there.
            _ => self.output = Stream::Ended,
        }
    }

    /// The program has ended: what it wrote last is still in the terminal. Only what is there now is carried: other processes
    /// may have the terminal open, and write without end. The caller may be slow; a signal that asks to end ends this, too.
    fn finish(&mut self, signals: &Signals) -> Result<()> {
        self.output = Stream::Open;
        let most = self.to_caller.len() + REST;
        while self.output == Stream::Open && self.to_caller.len() < most {
            let before = self.to_caller.len();
            self.read_output();
            if self.to_caller.len() == before {
                break; // nothing is there, or it is closed
            }
        }
        let mut taken = Instant::now();
        while !self.to_caller.is_empty() && taken.elapsed() < PATIENCE {
            let mut watches = [
                Watch { file: signals.as_fd(), events: Events::READ },
                Watch { file: STREAMS[1], events: Events::WRITE },
            ];
            process::watch_for(&mut watches, PATIENCE.saturating_sub(taken.elapsed()))
                .context("wait for the caller")?;
            let [has_signal, has_room] = watches.map(|watch| watch.events != Events::NONE);
            if has_signal && asked_to_end(signals)? {
                return Ok(());
            }
            if has_room {
                let before = self.to_caller.len();
                self.send_to_caller();
                if self.to_caller.len() < before {
                    taken = Instant::now();
                } else {
                    std::thread::sleep(Duration::from_millis(5)); // a terminal that is stopped (^S) has room and takes nothing
                }
            }
        }
        Ok(())
    }

    fn send_to_caller(&mut self) {
        let out = self.out.as_ref().map_or(STREAMS[1], AsFd::as_fd);
        send_some(out, &mut self.to_caller);
    }

    fn resize(&self) {
        let Some(Ok(size)) = own_terminal().map(tty::size) else {
            return;
        };
        let _ = tty::set_size(&self.master, size); // a terminal that just ended needs no size
    }
}

/// Has one of the signals arrived that ask a program to end, and that the caller does not ignore?
fn asked_to_end(signals: &Signals) -> Result<bool> {
    while let Some(signal) = signals.next().context("read the signals")? {
        let asks = matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT);
        if asks && !signal::is_ignored(signal) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes what fits; the rest stays. A reader that is gone makes the bytes vanish, as a closed terminal does.
fn send_some(to: impl AsFd, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    match socket::write_now(to, &bytes[..bytes.len().min(CHUNK)]) {
        Ok(n) => drop(bytes.drain(..n)),
        Err(Error(Errno::EAGAIN | Errno::EINTR)) => {}
        Err(_) => bytes.clear(),
    }
}
