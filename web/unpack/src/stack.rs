//! What is on the stack where an instruction comes: roughly, and the same for who packs and who unpacks.

/// Where nothing is known to be.
pub(crate) const NOTHING: u32 = 0xee;
/// A value is told by where it is from: a local by its number and this, the others by the opcode that made them.
const LOCAL: u32 = 0x100;
const DEEPEST: usize = 1 << 10;
const LOCALS: usize = 256;

pub(crate) struct Stack {
    values: [u32; DEEPEST],
    height: usize,
    /// Of each block: how high the stack was at its beginning, and whether it leaves something there.
    blocks: [(u32, bool); DEEPEST],
    depth: usize,
    /// Where each local was last read or written through as an address, and by what it was used.
    offsets: [u32; LOCALS],
    uses: [u32; LOCALS],
}

impl Stack {
    /// A new function's.
    pub(crate) fn begin(&mut self) {
        (self.height, self.depth) = (0, 1);
        self.blocks[0] = (0, false);
        (self.offsets, self.uses) = ([0; LOCALS], [0; LOCALS]);
    }

    /// Whether the function has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.depth == 0
    }

    /// How many values are on it that the block has put there.
    pub(crate) fn height(&self) -> u32 {
        self.height.saturating_sub(self.floor()) as u32
    }

    /// The value below so many others.
    pub(crate) fn value(&self, below: usize) -> u32 {
        if below < self.height { self.values[(self.height - 1 - below) % DEEPEST] } else { NOTHING }
    }

    /// The offset that a value was last used with as an address, and what it was last used by.
    pub(crate) fn habits(&self, value: u32) -> (u32, u32) {
        if value & LOCAL == 0 {
            (0xffff, 0xffff)
        } else {
            (self.offsets[value as usize % LOCALS], self.uses[value as usize % LOCALS])
        }
    }

    fn floor(&self) -> usize {
        if self.depth == 0 { 0 } else { self.blocks[(self.depth - 1) % DEEPEST].0 as usize }
    }

    fn push(&mut self, value: u32) {
        self.values[self.height % DEEPEST] = value;
        self.height += 1;
    }

    fn pop(&mut self, opcode: u8) -> u32 {
        let value = self.value(0);
        self.height = self.height.saturating_sub(1);
        if value & LOCAL != 0 {
            self.uses[value as usize % LOCALS] = u32::from(opcode);
        }
        value
    }

    fn open(&mut self, leaves: bool) {
        self.blocks[self.depth % DEEPEST] = (self.height as u32, leaves);
        self.depth += 1;
    }

    /// A call of something that takes and leaves so many.
    pub(crate) fn call(&mut self, opcode: u8, (takes, leaves): (u8, u8)) {
        for _ in 0..takes {
            self.pop(opcode);
        }
        for _ in 0..leaves {
            self.push(u32::from(opcode));
        }
    }

    /// Does what an instruction does, but for a call's taking and leaving.
    pub(crate) fn step(&mut self, opcode: u8, argument: u32) {
        let made = u32::from(opcode);
        let address = |stack: &mut Stack| {
            let address = stack.pop(opcode);
            if address & LOCAL != 0 {
                stack.offsets[address as usize % LOCALS] = argument;
            }
        };
        match opcode {
            0x02 | 0x03 => self.open(argument != 0x40),
            0x04 => {
                self.pop(opcode);
                self.open(argument != 0x40);
            }
            // What follows a way out is not reached.
            0x00 | 0x05 | 0x0c | 0x0f => self.height = self.floor(),
            0x0e => {
                self.pop(opcode);
                self.height = self.floor();
            }
            0x0b => {
                let leaves = self.blocks[(self.depth - 1) % DEEPEST].1;
                self.height = self.floor();
                self.depth -= 1;
                if leaves {
                    self.push(made);
                }
            }
            0x0d | 0x11 | 0x1a | 0x21 | 0x24 => drop(self.pop(opcode)),
            0x1b => {
                self.call(opcode, (3, 1));
            }
            0x20 => self.push(LOCAL | argument.min(LOCALS as u32 - 1)),
            0x22 => {
                self.pop(opcode);
                self.push(LOCAL | argument.min(LOCALS as u32 - 1));
            }
            0x28..=0x35 => {
                address(self);
                self.push(made);
            }
            0x36..=0x3e => {
                self.pop(opcode);
                address(self);
            }
            0x23 | 0x3f | 0x41..=0x44 => self.push(made),
            0x40 | 0x45 | 0x50 | 0x67..=0x69 | 0x79..=0x7b | 0x8b..=0x91 | 0x99..=0x9f | 0xa7..=0xc4 => {
                self.call(opcode, (1, 1));
            }
            0x46..=0x4f | 0x51..=0x66 | 0x6a..=0x78 | 0x7c..=0x8a | 0x92..=0x98 | 0xa0..=0xa6 => {
                self.call(opcode, (2, 1));
            }
            _ => {}
        }
    }

    /// Does what an instruction of two bytes does, by its second.
    pub(crate) fn long_step(&mut self, second: u8) {
        self.call(0xfc, if second < 8 { (1, 1) } else { (3, 0) });
    }
}
