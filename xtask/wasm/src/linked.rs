//! A module as the linker leaves it, with the linker's account of what refers to what (`--emit-relocs`): what it takes to leave
//! things out of it and to lay its data and its table out anew.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ElementSection, Elements, Module, RawSection, RefType, SectionId,
    TableSection, TableType,
};
use wasmparser::{
    DataKind, ElementItems, ElementKind, ExternalKind, KnownCustom, Linking, Operator, Parser, Payload,
    RelocationEntry, RelocationType, SymbolInfo, TypeRef, ValType, Validator,
};

use crate::body::{Body, Operand};

/// The linker leaves place 0 of the table empty, so that no function's address is null.
const FIRST_PLACE: u32 = 1;
/// More than any number needs; data that was aligned better by chance need not be.
const ALIGNED: u32 = 8;

/// How the compiler names its constants: texts, tables of methods, tables of switches.
const CONSTANTS: [&str; 3] = [".Lanon.", ".Lvtable.", ".Lswitch.table."];

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    Function(u32),
    /// A place in one of [`Linked::data`].
    Data {
        piece: usize,
        at: u32,
    },
    /// Globals and the table, which nothing here moves.
    Other,
}

/// Bytes that symbols name and that stay together.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Segments keep their order and what is in them.
    pub(crate) segment: usize,
    pub(crate) align: u32,
    /// Nothing writes to it, and nothing depends on where it is: a constant of the compiler's, not somebody's `static`.
    pub(crate) constant: bool,
    pub(crate) bytes: Vec<u8>,
    /// What of it is an address or a function's place, by offset.
    pub(crate) references: Vec<(u32, Operand)>,
}

/// A linked module taken apart.
#[derive(Default)]
pub(crate) struct Linked<'a> {
    pub(crate) sections: Vec<(u8, &'a [u8])>,
    /// How many functions are imported: they are numbered first.
    pub(crate) imported: u32,
    pub(crate) bodies: Vec<Body>,
    /// The numbers of their types.
    pub(crate) kinds: Vec<u32>,
    /// The parameters of each type.
    pub(crate) params: Vec<Vec<ValType>>,
    pub(crate) names: HashMap<u32, &'a str>,
    /// Functions that JavaScript or the engine calls.
    pub(crate) roots: Vec<u32>,
    /// Functions that are called through the table, by place.
    pub(crate) table: Vec<u32>,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) data: Vec<Piece>,
    /// Where each segment starts, and where it ends as the linker laid it out.
    pub(crate) segments: Vec<Range<u32>>,
}

impl<'a> Linked<'a> {
    pub(crate) fn read(module: &'a [u8]) -> Result<Linked<'a>> {
        let mut linked = Linked::default();
        let (mut code, mut segments, mut data_start) = (Vec::new(), Vec::new(), 0);
        let (mut symbols, mut read_only) = (Vec::new(), Vec::new());
        let mut relocations: HashMap<u32, Vec<RelocationEntry>> = HashMap::new();
        let (mut code_section, mut data_section) = (None, None);
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                linked.sections.push((id, &module[range.clone()]));
                let number = linked.sections.len() as u32 - 1;
                if id == SectionId::Code as u8 {
                    code_section = Some((number, range.start));
                } else if id == SectionId::Data as u8 {
                    data_section = Some(number);
                    data_start = range.start;
                }
            }
            match payload {
                Payload::TypeSection(types) => {
                    for kind in types.into_iter_err_on_gc_types() {
                        linked.params.push(kind?.params().to_vec());
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        linked.imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            linked.roots.push(export.index);
                        }
                    }
                }
                Payload::FunctionSection(section) => linked.kinds = section.into_iter().collect::<Result<_, _>>()?,
                Payload::StartSection { func, .. } => linked.roots.push(func),
                Payload::ElementSection(elements) => {
                    ensure!(elements.count() <= 1, "more than one list of elements is not provided for");
                    for element in elements {
                        linked.table = table(element?)?;
                    }
                }
                Payload::CodeSectionEntry(body) => code.push(body),
                Payload::DataSection(section) => {
                    for segment in section {
                        segments.push(segment?);
                    }
                }
                Payload::CustomSection(section) => match section.as_known() {
                    KnownCustom::Name(names) => {
                        for name in names {
                            if let wasmparser::Name::Function(names) = name? {
                                for name in names {
                                    let name = name?;
                                    linked.names.insert(name.index, name.name);
                                }
                            }
                        }
                    }
                    KnownCustom::Linking(parts) => {
                        for part in parts.subsections() {
                            match part? {
                                Linking::SymbolTable(table) => symbols = table.into_iter().collect::<Result<_, _>>()?,
                                Linking::SegmentInfo(segments) => {
                                    for segment in segments {
                                        read_only.push(segment?.name.starts_with(".rodata"));
                                    }
                                }
                                _ => {}
                            }
                        }
                    }
                    KnownCustom::Reloc(section) => {
                        let entries = section.entries().into_iter().collect::<Result<_, _>>()?;
                        relocations.insert(section.section_index(), entries);
                    }
                    _ => {}
                },
                _ => {}
            }
        }

        let (number, start) = code_section.context("a module without code")?;
        let entries = relocations.remove(&number).context("code without relocations: link with --emit-relocs")?;
        let operands = operands(&entries)?;
        for body in &code {
            let first = body.range().start - start;
            let operand = |from: usize, to: usize| {
                let next = operands.partition_point(|(at, _)| (*at as usize) < first + from);
                operands.get(next).filter(|(at, _)| (*at as usize) < first + to).map(|it| it.1)
            };
            linked.bodies.push(Body::read(body, &operand)?);
        }
        read_only.resize(segments.len(), false);
        let entries = data_section.and_then(|it| relocations.remove(&it)).unwrap_or_default();
        linked.read_data(&segments, data_start, &symbols, &operands_of_data(&entries)?, &read_only)?;
        Ok(linked)
    }

    /// Cuts the segments into pieces along the symbols.
    fn read_data(
        &mut self,
        segments: &[wasmparser::Data<'_>],
        section: usize,
        symbols: &[SymbolInfo<'_>],
        references: &[(u32, Operand)],
        read_only: &[bool],
    ) -> Result<()> {
        // Of each symbol: segment, from, to, and itself.
        let mut named = Vec::new();
        for (number, symbol) in symbols.iter().enumerate() {
            self.symbols.push(match symbol {
                SymbolInfo::Func { index, .. } => Symbol::Function(*index),
                SymbolInfo::Data { symbol: Some(it), .. } => {
                    named.push((it.index as usize, it.offset, it.offset + it.size, number));
                    Symbol::Other
                }
                SymbolInfo::Data { symbol: None, name, .. } => bail!("{name} has no data"),
                _ => Symbol::Other,
            });
        }
        named.sort_unstable();
        let mut named = named.as_slice();
        let is_constant = |symbol: usize| matches!(&symbols[symbol], SymbolInfo::Data { name, .. } if CONSTANTS.iter().any(|it| name.starts_with(it)));
        for (number, segment) in segments.iter().enumerate() {
            let address = address(&segment.kind)?;
            let length = u32::try_from(segment.data.len()).context("a segment of data")?;
            self.segments.push(address..address.checked_add(length).context("data beyond the memory")?);
            // References count from the section's start.
            let base = (segment.range.end - segment.data.len() - section) as u32;
            while let Some(&(_, from, mut to, _)) = named.first().filter(|it| it.0 == number) {
                // What overlaps stays together, and so does what is empty with what follows it.
                let mut count = 0;
                while let Some(more) = named.get(count).filter(|it| it.0 == number && (it.1 < to || it.1 == from)) {
                    to = to.max(more.2);
                    count += 1;
                }
                for symbol in &named[..count] {
                    self.symbols[symbol.3] = Symbol::Data { piece: self.data.len(), at: symbol.1 - from };
                }
                let within = |at: u32| references.partition_point(|it| it.0 < base + at);
                let references = &references[within(from)..within(to)];
                self.data.push(Piece {
                    segment: number,
                    constant: read_only[number] && named[..count].iter().all(|it| is_constant(it.3)),
                    align: ALIGNED.min(1 << (address + from).trailing_zeros()),
                    bytes: segment.data[from as usize..to as usize].to_vec(),
                    references: references.iter().map(|(at, operand)| (at - base - from, *operand)).collect(),
                });
                named = &named[count..];
            }
        }
        let kept: usize = self.data.iter().map(|it| it.references.len()).sum();
        ensure!(kept == references.len(), "{} references from data that no symbol names", references.len() - kept);
        Ok(())
    }

    /// The module's bytes, without the account; of the data only the pieces in `order`, segment by segment.
    pub(crate) fn write(&self, order: &[usize]) -> Result<Vec<u8>> {
        let placed = self.layout(order)?;
        let places: HashMap<u32, u32> = (FIRST_PLACE..).zip(&self.table).map(|(place, it)| (*it, place)).collect();
        // What is left out may be referred to only by what is left out as well.
        let address = |symbol: u32, addend: i32| match self.symbols[symbol as usize] {
            Symbol::Data { piece, at } => {
                let placed = placed[piece].expect("data that is referred to is not left out");
                placed.wrapping_add(at).wrapping_add_signed(addend)
            }
            other => unreachable!("{other:?} has no address"),
        };
        let place = |symbol: u32| match self.symbols[symbol as usize] {
            Symbol::Function(function) => {
                *places.get(&function).expect("a function that is pointed to is in the table")
            }
            other => unreachable!("{other:?} has no place in the table"),
        };
        let mut module = Module::new();
        for &(id, data) in &self.sections {
            if id == SectionId::Table as u8 {
                let mut section = TableSection::new();
                let size = u64::from(FIRST_PLACE) + self.table.len() as u64;
                let (minimum, maximum) = (size, Some(size));
                section.table(TableType {
                    element_type: RefType::FUNCREF,
                    table64: false,
                    minimum,
                    maximum,
                    shared: false,
                });
                module.section(&section);
            } else if id == SectionId::Element as u8 {
                let mut section = ElementSection::new();
                let first = ConstExpr::i32_const(FIRST_PLACE as i32);
                section.active(None, &first, Elements::Functions(self.table.as_slice().into()));
                module.section(&section);
            } else if id == SectionId::Code as u8 {
                let mut section = CodeSection::new();
                for body in &self.bodies {
                    section.raw(&body.write(&address, &place));
                }
                module.section(&section);
            } else if id == SectionId::Data as u8 {
                let mut section = DataSection::new();
                for (number, Range { start, .. }) in self.segments.iter().enumerate() {
                    let own: Vec<(&Piece, usize)> = order
                        .iter()
                        .filter(|it| self.data[**it].segment == number)
                        .filter_map(|it| Some((&self.data[*it], (placed[*it]? - start) as usize)))
                        .collect();
                    let mut bytes = vec![0; own.last().map_or(0, |(piece, at)| at + piece.bytes.len())];
                    for (piece, at) in own {
                        bytes[at..at + piece.bytes.len()].copy_from_slice(&piece.bytes);
                        for (offset, operand) in &piece.references {
                            let value = match *operand {
                                Operand::Address { symbol, addend } => address(symbol, addend),
                                Operand::Pointer { symbol } => place(symbol),
                            };
                            let at = at + *offset as usize;
                            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                        }
                    }
                    section.active(0, &ConstExpr::i32_const(*start as i32), bytes);
                }
                module.section(&section);
            } else if id == SectionId::Custom as u8 && is_account(data) {
                continue;
            } else {
                module.section(&RawSection { id, data });
            }
        }
        let module = module.finish();
        Validator::new().validate_all(&module).context("the module is not valid")?;
        Ok(module)
    }

    /// Where each piece of the order comes to lie. An order may need more room for alignment than the linker's did: then it is
    /// refused, because behind a segment is the next one, and behind the last what the program takes to be zero.
    fn layout(&self, order: &[usize]) -> Result<Vec<Option<u32>>> {
        let mut ends: Vec<u32> = self.segments.iter().map(|it| it.start).collect();
        let mut placed = vec![None; self.data.len()];
        for &number in order {
            let piece = &self.data[number];
            let end = &mut ends[piece.segment];
            let at = end.next_multiple_of(piece.align);
            placed[number] = Some(at);
            *end = at + piece.bytes.len() as u32;
        }
        for (number, (segment, end)) in self.segments.iter().zip(ends).enumerate() {
            let next = self.segments.iter().map(|it| it.start).filter(|it| *it > segment.start).min();
            let room = next.unwrap_or(segment.end);
            ensure!(end <= room, "segment {number} of the data ends at {end}, and there is room up to {room}");
        }
        Ok(placed)
    }
}

/// The sections that tell of symbols and relocations, which are true of the linker's module only.
fn is_account(custom: &[u8]) -> bool {
    // The name's length comes first; these are all shorter than 128.
    let name = custom.first().and_then(|length| custom.get(1..1 + usize::from(*length))).unwrap_or_default();
    name == b"linking" || name.starts_with(b"reloc.")
}

fn table(element: wasmparser::Element<'_>) -> Result<Vec<u32>> {
    let ElementKind::Active { table_index: None | Some(0), offset_expr } = element.kind else {
        bail!("elements of another table than the first are not provided for");
    };
    let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else {
        bail!("an offset of elements that is no number is not provided for");
    };
    ensure!(value as u32 == FIRST_PLACE, "the table starts at {value}");
    let ElementItems::Functions(functions) = element.items else {
        bail!("elements that are expressions are not provided for");
    };
    Ok(functions.into_iter().collect::<Result<_, _>>()?)
}

fn address(kind: &DataKind<'_>) -> Result<u32> {
    let DataKind::Active { memory_index: 0, offset_expr } = kind else {
        bail!("data that is not put into the memory at once is not provided for");
    };
    let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else {
        bail!("an address of data that is no number is not provided for");
    };
    Ok(value as u32)
}

/// What moves: addresses and places in the table, by where in the code they stand. Types, globals and tables do not, and calls
/// say themselves whom they call.
fn operands(entries: &[RelocationEntry]) -> Result<Vec<(u32, Operand)>> {
    let mut operands = Vec::new();
    for entry in entries {
        let (symbol, addend) = (entry.index, entry.addend as i32);
        match entry.ty {
            RelocationType::MemoryAddrLeb | RelocationType::MemoryAddrSleb => {
                operands.push((entry.offset, Operand::Address { symbol, addend }));
            }
            RelocationType::TableIndexSleb => operands.push((entry.offset, Operand::Pointer { symbol })),
            RelocationType::FunctionIndexLeb
            | RelocationType::TypeIndexLeb
            | RelocationType::GlobalIndexLeb
            | RelocationType::TableNumberLeb => {}
            other => bail!("{other:?} in code is not provided for"),
        }
    }
    operands.sort_by_key(|it| it.0);
    Ok(operands)
}

fn operands_of_data(entries: &[RelocationEntry]) -> Result<Vec<(u32, Operand)>> {
    let mut operands = Vec::new();
    for entry in entries {
        let (symbol, addend) = (entry.index, entry.addend as i32);
        operands.push(match entry.ty {
            RelocationType::MemoryAddrI32 => (entry.offset, Operand::Address { symbol, addend }),
            RelocationType::TableIndexI32 => (entry.offset, Operand::Pointer { symbol }),
            other => bail!("{other:?} in data is not provided for"),
        });
    }
    operands.sort_by_key(|it| it.0);
    Ok(operands)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(segment: usize, align: u32, length: usize) -> Piece {
        Piece { segment, align, constant: true, bytes: vec![1; length], references: Vec::new() }
    }

    #[test]
    fn data_stays_within_its_segment() {
        let data = vec![piece(0, 1, 4), piece(0, 8, 8), piece(0, 1, 4), piece(1, 8, 8), piece(1, 1, 8)];
        // The first segment is followed at once by the second, which is the last.
        let linked = Linked { data, segments: vec![16..32, 32..48], ..Linked::default() };
        let placed = |order: &[usize]| linked.layout(order).map_err(|error| error.to_string());
        let compact = [Some(24), Some(16), Some(28), Some(32), Some(40)];
        assert_eq!(placed(&[1, 0, 2, 3, 4]), Ok(compact.to_vec()));
        let over = |number, end, room| {
            Err(format!("segment {number} of the data ends at {end}, and there is room up to {room}"))
        };
        assert_eq!(placed(&[0, 1, 2, 3, 4]), over(0, 36, 32));
        // The gap in the first is left out; of the last nothing is behind what it was.
        assert_eq!(placed(&[1, 2, 3, 4, 3]), over(1, 56, 48));
    }
}
