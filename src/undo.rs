//! Success is the only path that keeps things.
//!
//! A `Draft<T>` holds something that exists outside of this process's memory (a directory, a cgroup, a child) and a way
//! to unmake it. Dropped without `keep()`, by an early return or a `?`, it is undone.

use std::ops::{Deref, DerefMut};

/// Something made, and how to unmake it.
pub struct Draft<T> {
    thing: Option<T>,
    undo: fn(T),
}

impl<T> Draft<T> {
    pub fn new(thing: T, undo: fn(T)) -> Draft<T> {
        Draft { thing: Some(thing), undo }
    }

    /// It stays.
    pub fn keep(mut self) -> T {
        self.thing.take().expect("a draft holds its thing until it is kept or dropped")
    }
}

impl<T> Drop for Draft<T> {
    fn drop(&mut self) {
        if let Some(thing) = self.thing.take() {
            (self.undo)(thing);
        }
    }
}

impl<T> Deref for Draft<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.thing.as_ref().expect("a draft holds its thing until it is kept or dropped")
    }
}

impl<T> DerefMut for Draft<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.thing.as_mut().expect("a draft holds its thing until it is kept or dropped")
    }
}
