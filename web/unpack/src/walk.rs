//! A walk over a module's code, byte by byte, as far as the sense of each byte tells what may come: instructions by those before them and by
//! what is on the stack, numbers by what they are for. Packing and unpacking are the same walk: where a module is packed its bytes are
//! there already and the bits tell of them, where one is unpacked they are put there as the bits tell.

use crate::bits::Bits;
use crate::odds::{INPUTS, Odds, Shape};
use crate::past::{Past, mixed};
use crate::stack::Stack;

/// The most that a module may be. Its packer tells when it is time for more.
pub const LONGEST: usize = 6 << 20;
/// And the most that its packed code may be.
pub const PACKED: usize = 1 << 20;
/// No body takes more of the file: with so many bytes of it, the next one can be unpacked.
pub const AHEAD: usize = 1 << 14;
/// A body's size takes so many bytes, however small it is: it is known only when the body is.
pub const SIZE: usize = 3;
/// The section of code, among a module's.
const CODE: u8 = 10;
const TYPES: u8 = 1;
const IMPORTS: u8 = 2;
const FUNCTIONS: u8 = 3;
const TYPE_COUNT: usize = 1 << 10;
const FUNCTION_COUNT: usize = 1 << 15;

/// The opcodes that most instructions have: they take half the decisions of others.
const FREQUENT: [u8; 15] = [0x20, 0x41, 0x21, 0x22, 0x28, 0x36, 0x10, 0x0b, 0x6a, 0x0d, 0x02, 0x0c, 0x29, 0x37, 0x2d];
/// Says that what was meant is none of the small or frequent.
const OTHER: u32 = 15;

/// The likelier, the fewer decisions: opcodes as above; locals; other numbers, most of which are not small. And four for each of
/// sixteen, and one for each of two.
const OPCODES: Shape = Shape::new([2, 3, 4, 5, 4, 5, 4, 5, 4, 5, 5, 6, 5, 5, 6, 3]);
const LOCALS: Shape = Shape::new([3, 3, 2, 3, 3, 4, 4, 5, 6, 6, 7, 7, 7, 8, 8, 5]);
const NUMBERS: Shape = Shape::new([3, 4, 4, 5, 4, 6, 5, 6, 6, 6, 6, 7, 6, 7, 6, 1]);
const EVENLY: Shape = Shape::new([4; 16]);
const ONCE: Shape = Shape::new([1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/// What is coded: each has weights of its own, by the place in it and by how far what is expected is trusted.
#[derive(Clone, Copy)]
enum Kind {
    Declaration,
    Opcode,
    Get,
    Set,
    Loaded,
    Stored,
    Constant,
    Long,
    Callee,
    Branch,
    Several,
    Repeated,
}

/// All that a walk has to remember. It begins as zeros.
pub struct Desk {
    odds: Odds,
    past: Past,
    stack: Stack,
    /// How many parameters and results a type has.
    types: [(u8, u8); TYPE_COUNT],
    /// The type of each function.
    functions: [u16; FUNCTION_COUNT],
}

/// The module is not one that can be walked over: too large, or no module.
#[derive(Debug)]
pub struct Unknown;

/// A walk under way.
pub struct Walk<'a, B> {
    desk: &'a mut Desk,
    bits: B,
    module: &'a mut [u8],
    at: usize,
    /// Which function it is in.
    function: usize,
    /// The locals last named: read, read before that, written.
    read: [u32; 2],
    written: u32,
}

/// What is told of a number or a byte: its kind, what was before, and what is expected.
struct Told {
    kind: Kind,
    contexts: [u32; INPUTS - 1],
    expected: Option<u64>,
}

impl<'a, B: Bits> Walk<'a, B> {
    /// Walks over a module of which what is before the first body, which is at `code`, is there.
    pub fn new(desk: &'a mut Desk, bits: B, module: &'a mut [u8], code: usize) -> Result<Walk<'a, B>, Unknown> {
        desk.odds.begin();
        let mut walk = Walk { desk, bits, module, at: code, function: 0, read: [0; 2], written: 0 };
        if code > walk.module.len() || walk.module.len() > LONGEST {
            return Err(Unknown);
        }
        walk.signatures(code)?;
        Ok(walk)
    }

    /// Walks over the next function's body.
    pub fn body(&mut self) -> Result<(), Unknown> {
        let kind = self.desk.functions.get(self.function).copied().ok_or(Unknown)?;
        let start = self.at;
        self.at += SIZE;
        self.declarations(u32::from(kind));
        self.desk.stack.begin();
        while !self.desk.stack.is_over() {
            self.instruction();
        }
        let mut size = self.at - start - SIZE;
        for byte in &mut self.module[start..start + SIZE] {
            *byte = size as u8 | 0x80;
            size >>= 7;
        }
        self.module[start + SIZE - 1] &= 0x7f;
        self.function += 1;
        Ok(())
    }

    /// What reads or writes the bits.
    pub fn bits(&self) -> &B {
        &self.bits
    }

    /// The same, given back.
    pub fn end(self) -> B {
        self.bits
    }

    /// How many values each function takes and leaves, by the module's first sections.
    fn signatures(&mut self, code: usize) -> Result<(), Unknown> {
        let mut reader = Reader { bytes: &self.module[..code], at: 8 };
        let mut functions = self.desk.functions.iter_mut();
        while reader.at < code {
            let section = reader.byte()?;
            let size = reader.number()?;
            let next = reader.at + size as usize;
            if section == CODE {
                break;
            }
            let count =
                if section == TYPES || section == IMPORTS || section == FUNCTIONS { reader.number()? } else { 0 };
            for index in 0..count as usize {
                match section {
                    TYPES => {
                        reader.byte()?;
                        let takes = reader.skip()?;
                        let leaves = reader.skip()?;
                        *self.desk.types.get_mut(index).ok_or(Unknown)? = (takes, leaves);
                    }
                    IMPORTS => {
                        reader.skip()?;
                        reader.skip()?;
                        // Functions alone are imported.
                        reader.byte()?;
                        *functions.next().ok_or(Unknown)? = reader.number()? as u16;
                        self.function += 1;
                    }
                    _ => *functions.next().ok_or(Unknown)? = reader.number()? as u16,
                }
            }
            reader.at = next;
        }
        Ok(())
    }

    /// The locals of a body: how many runs of a type there are, and of each how many locals and which type, which is a number too.
    fn declarations(&mut self, kind: u32) {
        let start = self.at;
        let runs = self.declaration(start, kind);
        for _ in 0..2 * runs {
            self.declaration(start, kind);
        }
    }

    fn declaration(&mut self, start: usize, kind: u32) -> usize {
        let (mut number, mut shift) = (0, 0);
        loop {
            let index = (self.at - start) as u32;
            let ago = |ago: usize| if self.at >= start + ago { u32::from(self.module[self.at - ago]) } else { 0 };
            let contexts = [hash(1, &[index, ago(1)]), hash(4, &[kind, index])];
            let told = Told { kind: Kind::Declaration, contexts, expected: None };
            let byte = self.byte(&told, 0, 0, self.module[self.at]);
            self.module[self.at] = byte;
            self.at += 1;
            number |= usize::from(byte & 127) << (shift & 31);
            shift += 7;
            if byte < 128 {
                return number;
            }
        }
    }

    fn instruction(&mut self) {
        let start = self.at;
        let (opcode, argument) = self.repeated().unwrap_or_else(|| self.told());
        self.passed(opcode, argument, start);
    }

    /// An instruction that is the expected one with all its bytes: where that is trusted, one bit tells of it.
    fn repeated(&mut self) -> Option<(u8, u64)> {
        let past = &self.desk.past;
        let (opcode, argument) = past.expected()?;
        let from = past.bytes().filter(|_| past.is_trusted())?;
        let to = self.at..(self.at + from.len()).min(self.module.len());
        let is_repeated = B::PACKS && self.module[to] == self.module[from.clone()];
        let trust = past.trust();
        let expected = u32::from(opcode);
        let contexts =
            [hash(90, &[trust]), hash(92, &[expected, past.opcode(1), trust]), hash(93, &[expected, trust & 7])];
        let set = Kind::Repeated as usize * 15 + (trust & 7) as usize;
        if self.desk.odds.tell(&mut self.bits, set, &contexts, &ONCE, u32::from(is_repeated)) == 0 {
            return None;
        }
        let length = from.len();
        self.module.copy_within(from, self.at);
        self.at += length;
        Some((opcode, u64::from(argument)))
    }

    fn told(&mut self) -> (u8, u64) {
        let opcode = self.opcode();
        let argument = match opcode {
            0x02..=0x04 => self.number(opcode, Kind::Branch, false),
            0x0c | 0x0d => self.number(opcode, Kind::Branch, false),
            0x0e => {
                let ways = self.number(opcode, Kind::Several, false);
                for _ in 0..=ways {
                    self.number(opcode, Kind::Several, false);
                }
                ways
            }
            0x10 => self.callee(),
            0x11 => {
                let kind = self.number(opcode, Kind::Several, false);
                self.number(opcode, Kind::Several, false);
                kind
            }
            0x20 => self.local(opcode, Kind::Get),
            0x21 | 0x22 => self.local(opcode, Kind::Set),
            0x23 | 0x24 | 0x3f | 0x40 => self.number(opcode, Kind::Several, false),
            0x28..=0x3e => self.offset(opcode),
            0x41 => self.number(opcode, Kind::Constant, true),
            0x42 => self.number(opcode, Kind::Long, true),
            0x43 => self.plain(4),
            0x44 => self.plain(8),
            0xfc => {
                let second = self.number(opcode, Kind::Several, false);
                let more = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1]
                    .get(second as usize)
                    .copied()
                    .unwrap_or_default();
                for _ in 0..more {
                    self.number(opcode, Kind::Several, false);
                }
                second
            }
            _ => 0,
        };
        (opcode, argument)
    }

    /// Takes notice of an instruction, which began at `start`.
    fn passed(&mut self, opcode: u8, argument: u64, start: usize) {
        let desk = &mut *self.desk;
        match opcode {
            0x10 => {
                let kind = desk.functions.get(argument as usize).copied().unwrap_or_default();
                desk.stack.call(opcode, desk.types[usize::from(kind) % TYPE_COUNT]);
            }
            0x11 => {
                desk.stack.step(opcode, 0);
                desk.stack.call(opcode, desk.types[argument as usize % TYPE_COUNT]);
            }
            0x20 => self.read = [argument as u32, self.read[0]],
            0x21 | 0x22 => self.written = argument as u32,
            _ => {}
        }
        match opcode {
            0x10 | 0x11 => {}
            0xfc => desk.stack.long_step(argument as u8),
            _ => desk.stack.step(opcode, argument as u32),
        }
        desk.past.push(opcode, argument as u32, start..self.at);
    }

    fn opcode(&mut self) -> u8 {
        let Desk { past, stack, .. } = &*self.desk;
        let [one, two, three] = [1, 2, 3].map(|it| past.opcode(it));
        let height = stack.height();
        let top = stack.value(0);
        let contexts = [
            hash(13, &[one | two << 8 | three << 16 | past.opcode(4) << 24, past.opcode(5), height.min(3)]),
            hash(16, &[top, stack.value(1), height, stack.habits(top).1]),
        ];
        let expected = past.expected().map(|it| u64::from(it.0));
        let frequent = |opcode: u8| FREQUENT.iter().position(|it| *it == opcode).map_or(OTHER, |it| it as u32);
        let trust = past.trust() | one << 8;
        let told = Told { kind: Kind::Opcode, contexts, expected };
        let given = self.module[self.at];
        let likely = expected.map(|it| frequent(it as u8));
        let place = self.nibble(&told, &OPCODES, trust, (0, 0), likely, frequent(given));
        let opcode = match FREQUENT.get(place as usize) {
            Some(it) => *it,
            None => self.byte(&told, trust, 1, given),
        };
        self.module[self.at] = opcode;
        self.at += 1;
        opcode
    }

    /// The number of a local.
    fn local(&mut self, opcode: u8, kind: Kind) -> u64 {
        let past = &self.desk.past;
        let one = past.opcode(1) | u32::from(opcode) << 8;
        let [read, before] = self.read;
        let contexts = [hash(21, &[one, read]), hash(22, &[one, read, before, self.written])];
        self.value(opcode, kind, contexts, 1, false)
    }

    /// The offset of a load or store, whose alignment is what is natural.
    fn offset(&mut self, opcode: u8) -> u64 {
        self.module[self.at] = b"23230011001122232301012"[usize::from(opcode - 0x28)] - b'0';
        self.at += 1;
        let Desk { past, stack, .. } = &*self.desk;
        let one = past.opcode(1) | u32::from(opcode) << 8;
        let address = stack.value(usize::from(opcode >= 0x36));
        let last = stack.habits(address).0;
        let contexts = [hash(31, &[u32::from(opcode), last, address]), hash(32, &[one | past.opcode(2) << 16, last])];
        let kind = if opcode < 0x36 { Kind::Loaded } else { Kind::Stored };
        self.value(opcode, kind, contexts, 4, false)
    }

    /// Whom to call.
    fn callee(&mut self) -> u64 {
        let Desk { past, stack, .. } = &*self.desk;
        let contexts = [
            hash(41, &[past.opcode(1), past.argument(1)]),
            hash(46, &[stack.height(), stack.value(0), stack.value(1)]),
        ];
        let given = self.given(false);
        let expected = past.expected().filter(|it| it.0 == 0x10).map(|it| u64::from(it.1));
        let trust = past.trust();
        let high = Told { kind: Kind::Callee, contexts, expected: expected.map(|it| it >> 8) };
        let first = u64::from(self.byte(&high, trust, 0, (given >> 8) as u8));
        let expected = expected.filter(|it| it >> 8 == first).map(|it| it & 255);
        let contexts = contexts.map(|it| mixed(it, first as u32 + 1));
        let low = Told { kind: Kind::Callee, contexts, expected };
        let callee = first << 8 | u64::from(self.byte(&low, trust, 2, given as u8));
        self.put(callee, false);
        callee
    }

    /// Any other number.
    fn number(&mut self, opcode: u8, kind: Kind, is_signed: bool) -> u64 {
        let past = &self.desk.past;
        let one = past.opcode(1) | u32::from(opcode) << 8;
        let contexts = [hash(51, &[one | past.opcode(2) << 16]), hash(52, &[one, past.argument(1)])];
        self.value(opcode, kind, contexts, 1, is_signed)
    }

    /// Bytes that are a number of its own kind.
    fn plain(&mut self, count: usize) -> u64 {
        for index in 0..count as u32 {
            let before = u32::from(self.module[self.at - 1]);
            let contexts = [hash(60, &[index]), hash(61, &[index, before])];
            let byte = self.byte(&Told { kind: Kind::Several, contexts, expected: None }, 0, 0, self.module[self.at]);
            self.module[self.at] = byte;
            self.at += 1;
        }
        0
    }

    /// A number by its contexts: a small multiple of `scale`, which takes four bits, or another.
    fn value(&mut self, opcode: u8, kind: Kind, contexts: [u32; INPUTS - 1], scale: u64, is_signed: bool) -> u64 {
        let given = self.given(is_signed);
        let small = |it: u64| {
            if it.is_multiple_of(scale) && it / scale < u64::from(OTHER) { (it / scale) as u32 } else { OTHER }
        };
        let past = &self.desk.past;
        let expected = past.expected().filter(|it| it.0 == opcode).map(|it| u64::from(it.1));
        let trust = past.trust();
        let mut told = Told { kind, contexts, expected };
        let shape = if matches!(kind, Kind::Get | Kind::Set) { &LOCALS } else { &NUMBERS };
        let first = self.nibble(&told, shape, trust, (0, 0), expected.map(small), small(given));
        let value = if first < OTHER {
            u64::from(first) * scale
        } else {
            let (mut value, mut shift, mut place) = (0, 0, 1);
            loop {
                let part = |it: u64| (it >> shift) as u8 & 127 | u8::from(it >> shift > 127) << 7;
                told.expected = expected.filter(|it| *it & ((1 << shift) - 1) == value).map(|it| u64::from(part(it)));
                let byte = self.byte(&told, trust, place, part(given));
                value |= u64::from(byte & 127) << shift;
                shift += 7;
                if byte < 128 || shift > 63 {
                    break value;
                }
                told.contexts = told.contexts.map(|it| mixed(it, u32::from(byte) + 1));
                place = 3;
            }
        };
        self.put(value, is_signed);
        value
    }

    fn byte(&mut self, told: &Told, trust: u32, place: usize, given: u8) -> u8 {
        let likely = told.expected.map(|it| it as u32 >> 4 & 15);
        let high = self.nibble(told, &EVENLY, trust, (place, 1), likely, u32::from(given >> 4));
        let likely = if likely == Some(high) { told.expected.map(|it| it as u32 & 15) } else { None };
        let low = self.nibble(told, &EVENLY, trust, (place + 1, 2 + high), likely, u32::from(given & 15));
        (high << 4 | low) as u8
    }

    /// One of sixteen of what is told of: at a place in it, by what is known of it already; one may be expected.
    fn nibble(
        &mut self,
        told: &Told,
        shape: &Shape,
        trust: u32,
        (place, known): (usize, u32),
        likely: Option<u32>,
        given: u32,
    ) -> u32 {
        let mut contexts = [0; INPUTS];
        for (own, base) in contexts.iter_mut().zip(told.contexts) {
            *own = mixed(base, known.wrapping_mul(0x2c1b_3c6d));
        }
        let trust = if likely.is_some() { trust } else { trust & !255 };
        contexts[INPUTS - 1] = hash(80 + told.kind as u32, &[likely.unwrap_or(16), trust, place as u32]);
        let trusted = if likely.is_none() { 0 } else { 1 + usize::from(trust & 255 > 40) };
        let set = (told.kind as usize * 5 + place) * 3 + trusted;
        self.desk.odds.tell(&mut self.bits, set, &contexts, shape, given)
    }

    /// The number that stands here, if there is one yet. Signed ones are told by their size and then by their sign.
    fn given(&self, is_signed: bool) -> u64 {
        if !B::PACKS {
            return 0;
        }
        let (mut value, mut shift) = (0, 0);
        for byte in &self.module[self.at..] {
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if *byte < 128 || shift > 63 {
                break;
            }
        }
        if !is_signed {
            return value;
        }
        let unused = 64u32.saturating_sub(shift);
        let signed = ((value << unused) as i64) >> unused;
        (signed << 1 ^ signed >> 63) as u64
    }

    fn put(&mut self, value: u64, is_signed: bool) {
        let signed = (value >> 1) as i64 ^ -((value & 1) as i64);
        let mut rest = if is_signed { signed } else { value as i64 };
        loop {
            let byte = rest as u8 & 127;
            rest = if is_signed { rest >> 7 } else { (rest as u64 >> 7) as i64 };
            let is_last = rest == 0 && (!is_signed || byte < 64) || is_signed && rest == -1 && byte > 63;
            self.module[self.at] = byte | if is_last { 0 } else { 128 };
            self.at += 1;
            if is_last {
                break;
            }
        }
    }
}

/// The sections before the code.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Unknown> {
        let byte = self.bytes.get(self.at).copied().ok_or(Unknown)?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u32, Unknown> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            number |= u32::from(byte & 127) << (shift & 31);
            shift += 7;
            if byte < 128 {
                return Ok(number);
            }
        }
    }

    /// Passes over a list of bytes and says how many there are.
    fn skip(&mut self) -> Result<u8, Unknown> {
        let count = self.number()?;
        self.at += count as usize;
        Ok(count as u8)
    }
}

fn hash(first: u32, numbers: &[u32]) -> u32 {
    numbers.iter().fold(mixed(0, first), |hash, number| mixed(hash, *number))
}
