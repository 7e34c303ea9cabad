//! How the code of the page's module is packed, and what unpacks it in the browser.
//!
//! Each bit of it is told by its odds, which are learned on the way from what came before it under several contexts
//! ([`odds`]), and takes the less of the file the likelier it was ([`bits`]). What the contexts are is the sense of the bytes ([`walk`]): the
//! instructions before, what is on the stack ([`stack`]), how it went on after instructions like these ([`past`]). Nothing of what is learned
//! is in the file. Packing and unpacking are the same walk, so what packs is built of this crate natively, and what unpacks is
//! this crate as WebAssembly, which travels at the head of the file.

// With std a panic's words would be linked, which weigh more than all that is here.
#![cfg_attr(target_arch = "wasm32", no_std)]

mod bits;
mod odds;
#[cfg(target_arch = "wasm32")]
mod page;
mod past;
mod stack;
mod walk;

#[cfg(not(target_arch = "wasm32"))]
pub use bits::Writer;
pub use bits::{Bits, Written};
pub use walk::{AHEAD, Desk, LONGEST, PACKED, SIZE, Unknown, Walk};

#[cfg(not(target_arch = "wasm32"))]
impl Desk {
    /// One that has learned nothing yet.
    #[allow(unsafe_code)]
    pub fn empty() -> Box<Desk> {
        // All of it is numbers and flags, which may be 0. By way of the stack it would be too large for that of a thread.
        unsafe { Box::<Desk>::new_zeroed().assume_init() }
    }
}
