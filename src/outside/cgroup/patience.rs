//! Waiting for what the kernel finishes in its own time.

use std::time::Duration;

/// Waits between tries, twice as long each time from 1 ms on, about a second in all.
pub(super) struct Patience(Duration);

impl Patience {
    pub fn new() -> Patience {
        Patience(Duration::from_millis(1))
    }

    /// Has less than a tenth of a second been waited?
    pub fn is_short(&self) -> bool {
        self.0 < Duration::from_millis(64)
    }

    /// Waits and says true, or says false: it is over.
    pub fn wait(&mut self) -> bool {
        let more = self.0 < Duration::from_secs(1);
        if more {
            std::thread::sleep(self.0);
            self.0 *= 2;
        }
        more
    }
}
