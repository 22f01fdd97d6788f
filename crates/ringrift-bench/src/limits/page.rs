//! A page of memory that two processes share, with one number in it.
#![expect(
    unsafe_code,
    reason = "mapping a file is unsafe: the file is a page long before it is mapped, nobody shortens \
              it, the mapping lasts as long as the value, and its only content is an atomic at its \
              aligned start"
)]

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::atomic::AtomicU32;

use anyhow::Result;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The length of the file and of the mapping.
const LENGTH: usize = 4_096;

/// The page.
pub(super) struct Page(std::ptr::NonNull<AtomicU32>);

impl Page {
    /// Maps the page of this file, which is made where it is missing.
    pub(super) fn of(path: &Path) -> Result<Page> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        file.set_len(LENGTH as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory of ours.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                LENGTH,
                protection,
                MapFlags::SHARED,
                &file,
                0,
            )
        }?;
        let start = std::ptr::NonNull::new(start.cast());
        Ok(Page(
            start.ok_or_else(|| anyhow::anyhow!("mapped at nothing"))?,
        ))
    }

    /// The number.
    pub(super) fn number(&self) -> &AtomicU32 {
        // SAFETY: the mapping is aligned to a page, as long as one, and stands as long as `self`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped by `of` with this length, and nobody borrows from a value that is dropped.
        // A page that stays mapped until the process ends harms nobody.
        unsafe { munmap(self.0.as_ptr().cast(), LENGTH) }.ok();
    }
}
