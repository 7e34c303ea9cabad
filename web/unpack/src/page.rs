//! What the page's JavaScript calls. One module is unpacked, once, so that what it takes is simply there, and nothing is allocated.
#![allow(unsafe_code)] // Statics that are written to, and names that JavaScript knows. There is one thread, and each is lent once at a time.

use core::panic::PanicInfo;

use crate::bits::Written;
use crate::walk::{AHEAD, Desk, LONGEST, PACKED, Walk};

// All of it is numbers and flags, which may be 0.
static mut DESK: Desk = unsafe { core::mem::zeroed() };
static mut FILE: [u8; PACKED] = [0; PACKED];
static mut MODULE: [u8; LONGEST] = [0; LONGEST];
static mut WALK: Option<Walk<'static, Written<'static>>> = None;
/// How many bodies are left.
static mut LEFT: usize = 0;

/// Where the packed bytes are to be put.
#[unsafe(no_mangle)]
extern "C" fn file() -> *mut u8 {
    &raw mut FILE as *mut u8
}

/// Where the module will be. What is not its code is to be put there too, what comes before it at the beginning.
#[unsafe(no_mangle)]
extern "C" fn module() -> *mut u8 {
    &raw mut MODULE as *mut u8
}

/// Unpacks the bodies that so many bytes of the file hold, of which these are all or not. The module has so many bodies, the first at
/// `code`; says how many are left.
#[unsafe(no_mangle)]
extern "C" fn unpack(packed: usize, are_all: bool, code: usize, functions: usize) -> usize {
    let is_enough = |read: usize| are_all || read + AHEAD < packed;
    let (walk, left) = unsafe { (&mut *(&raw mut WALK), &mut *(&raw mut LEFT)) };
    if walk.is_none() && is_enough(0) {
        let (desk, file, module) = unsafe { (&mut *(&raw mut DESK), &*(&raw const FILE), &mut *(&raw mut MODULE)) };
        *walk = Walk::new(desk, Written::new(file), module, code).ok();
        *left = functions;
    }
    let Some(walk) = walk else { return functions };
    while *left > 0 && is_enough(walk.bits().count()) && walk.body().is_ok() {
        *left -= 1;
    }
    *left
}

#[panic_handler]
fn stop(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
