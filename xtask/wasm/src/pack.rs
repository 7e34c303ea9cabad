//! Makes a bound module small to download: what is there twice is there once, and what is alike is close together.
//!
//! gzip sees 32 KiB back. The linker puts functions in the order of crates and wasm-bindgen by size; put next to those they
//! share most with, the page's functions take a tenth less. The order of functions has no meaning but for their numbers, so
//! what changes in a body is whom it calls, and the alignment that loads and stores promise: a hint, which all engines pass
//! over and which tells like bodies apart. Custom sections (producers, features) are for tools and are left out; a module that
//! was bound with its functions' names keeps those, to see by them what takes how much.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::{Context, Result, bail};
use wasm_encoder::{
    CodeSection, ConstExpr, ElementSection, Elements, Encode, EntityType, ExportKind, ExportSection, FunctionSection,
    ImportSection, Module, NameMap, NameSection, RawSection, SectionId, StartSection,
};
use wasmparser::{
    BinaryReader, Element, ElementItems, ElementKind, Export, ExternalKind, FunctionBody, Import, KnownCustom, MemArg,
    Name, NameSectionReader, Operator, Parser, Payload, TypeRef, Validator,
};

use crate::glue::Names;
use crate::{locals, order};

/// A module taken apart as far as functions are numbered in it.
#[derive(Default)]
struct Parts<'a> {
    /// Every section's id and content, in order.
    sections: Vec<(u8, &'a [u8])>,
    /// How many functions are imported: they are numbered first.
    imported: u32,
    imports: Vec<Import<'a>>,
    functions: Vec<Function>,
    exports: Vec<Export<'a>>,
    /// Functions' names, if the module has them.
    names: Vec<(u32, &'a str)>,
    elements: Vec<Element<'a>>,
    start: Option<u32>,
}

/// A function with a body.
pub(crate) struct Function {
    /// The number of its type.
    kind: u32,
    /// Its locals and instructions.
    pub(crate) body: Vec<u8>,
    pub(crate) calls: Vec<Callee>,
}

/// Where a body names a function.
pub(crate) struct Callee {
    /// The number's bytes in the body.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) function: u32,
}

/// The module's smaller twin, which calls things, and is called, by these names.
pub(crate) fn pack(module: &[u8], short: &Names) -> Result<Vec<u8>> {
    let parts = Parts::read(module)?;
    let merged = parts.merge();
    let kept: Vec<usize> = (0..merged.len()).filter(|it| merged[*it] == *it).collect();
    let order = order::by_likeness(&parts.functions, &kept);

    let mut numbers = vec![0; merged.len()];
    for (at, function) in order.iter().enumerate() {
        numbers[*function] = parts.imported + at as u32;
    }
    let renumbered = |old: u32| match parts.local(old) {
        Some(function) => numbers[merged[function]],
        None => old,
    };
    let packed = parts.write(&order, &renumbered, short)?;
    Validator::new().validate_all(&packed).context("the packed module is not valid")?;
    Ok(packed)
}

impl<'a> Parts<'a> {
    fn read(module: &'a [u8]) -> Result<Parts<'a>> {
        let mut parts = Parts::default();
        let mut kinds = Vec::new();
        // Of each type, how many.
        let mut params = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                parts.sections.push((id, &module[range]));
            }
            match payload {
                Payload::TypeSection(types) => {
                    for kind in types.into_iter_err_on_gc_types() {
                        params.push(kind?.params().len() as u32);
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        parts.imported += u32::from(matches!(import.ty, TypeRef::Func(_)));
                        parts.imports.push(import);
                    }
                }
                Payload::FunctionSection(section) => kinds = section.into_iter().collect::<Result<_, _>>()?,
                Payload::ExportSection(section) => parts.exports = section.into_iter().collect::<Result<_, _>>()?,
                Payload::ElementSection(section) => parts.elements = section.into_iter().collect::<Result<_, _>>()?,
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(names) = section.as_known() {
                        parts.read_names(names)?;
                    }
                }
                Payload::StartSection { func, .. } => parts.start = Some(func),
                Payload::GlobalSection(section) => {
                    for global in section {
                        for operator in global?.init_expr.get_operators_reader() {
                            if let Operator::RefFunc { .. } = operator? {
                                bail!("a global that names a function is not provided for");
                            }
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let kind = *kinds.get(parts.functions.len()).context("a body without a type")?;
                    let params = *params.get(kind as usize).context("a body of a type that is not there")?;
                    parts.functions.push(Function::read(kind, locals::renumbered(&body, params)?)?);
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    fn read_names(&mut self, names: NameSectionReader<'a>) -> Result<()> {
        for name in names {
            if let Name::Function(names) = name? {
                for name in names {
                    let name = name?;
                    self.names.push((name.index, name.name));
                }
            }
        }
        Ok(())
    }

    /// A function that has a body here, by its place among them.
    fn local(&self, number: u32) -> Option<usize> {
        number.checked_sub(self.imported).map(|it| it as usize)
    }

    /// For each function the first one that does the same: same type, same body, until no two are left that call the same.
    fn merge(&self) -> Vec<usize> {
        let mut same: Vec<usize> = (0..self.functions.len()).collect();
        loop {
            let mut first: HashMap<(u32, Vec<u8>), usize> = HashMap::new();
            let mut duplicates = Vec::new();
            let canonical = |old: u32| match self.local(old) {
                Some(function) => self.imported + same[function] as u32,
                None => old,
            };
            for (at, function) in self.functions.iter().enumerate().filter(|(at, _)| same[*at] == *at) {
                match first.entry((function.kind, function.rewritten(&canonical))) {
                    Entry::Vacant(entry) => drop(entry.insert(at)),
                    Entry::Occupied(entry) => duplicates.push((at, *entry.get())),
                }
            }
            if duplicates.is_empty() {
                return same;
            }
            for (duplicate, original) in duplicates {
                // Those that stood for others take them along.
                same.iter_mut().filter(|it| **it == duplicate).for_each(|it| *it = original);
            }
        }
    }

    fn write(&self, order: &[usize], renumbered: &dyn Fn(u32) -> u32, short: &Names) -> Result<Vec<u8>> {
        let mut module = Module::new();
        for &(id, data) in &self.sections {
            if id == SectionId::Custom as u8 {
                continue;
            } else if id == SectionId::Import as u8 {
                let mut section = ImportSection::new();
                for import in &self.imports {
                    let TypeRef::Func(kind) = import.ty else {
                        bail!("an import of {:?} is not provided for", import.ty)
                    };
                    section.import(import.module, short.import(import.name), EntityType::Function(kind));
                }
                module.section(&section);
            } else if id == SectionId::Function as u8 {
                let mut section = FunctionSection::new();
                for function in order {
                    section.function(self.functions[*function].kind);
                }
                module.section(&section);
            } else if id == SectionId::Export as u8 {
                let mut section = ExportSection::new();
                for export in &self.exports {
                    let (kind, index) = match export.kind {
                        ExternalKind::Func => (ExportKind::Func, renumbered(export.index)),
                        ExternalKind::Table => (ExportKind::Table, export.index),
                        ExternalKind::Memory => (ExportKind::Memory, export.index),
                        ExternalKind::Global => (ExportKind::Global, export.index),
                        other => bail!("an export of {other:?} is not provided for"),
                    };
                    section.export(short.export(export.name), kind, index);
                }
                module.section(&section);
            } else if id == SectionId::Start as u8 {
                let function_index = renumbered(self.start.context("a start section without a function")?);
                module.section(&StartSection { function_index });
            } else if id == SectionId::Element as u8 {
                module.section(&element_section(&self.elements, renumbered)?);
            } else if id == SectionId::Code as u8 {
                let mut section = CodeSection::new();
                for function in order {
                    section.raw(&self.functions[*function].rewritten(renumbered));
                }
                module.section(&section);
            } else {
                module.section(&RawSection { id, data });
            }
        }
        if !self.names.is_empty() {
            let mut names: Vec<(u32, &str)> = self.names.iter().map(|it| (renumbered(it.0), it.1)).collect();
            // Of those that do the same, the first tells its name.
            names.sort_by_key(|it| it.0);
            names.dedup_by_key(|it| it.0);
            let mut map = NameMap::new();
            names.iter().for_each(|(number, name)| map.append(*number, name));
            let mut section = NameSection::new();
            section.functions(&map);
            module.section(&section);
        }
        Ok(module.finish())
    }
}

impl Function {
    fn read(kind: u32, body: Vec<u8>) -> Result<Function> {
        let mut function = Function { kind, body: body.clone(), calls: Vec::new() };
        let mut reader = FunctionBody::new(BinaryReader::new(&body, 0)).get_operators_reader()?;
        while !reader.eof() {
            // The operators of interest are one byte, and what they name follows.
            let operand = reader.original_position() + 1;
            let operator = reader.read()?;
            let end = reader.original_position();
            match operator {
                Operator::Call { function_index: callee }
                | Operator::ReturnCall { function_index: callee }
                | Operator::RefFunc { function_index: callee } => {
                    function.calls.push(Callee { start: operand, end, function: callee });
                }
                _ => {
                    if let Some(memarg) = plain_memory_access(&operator) {
                        // The first byte of a memory argument; more would name a memory other than the first.
                        if function.body[operand] == memarg.align {
                            function.body[operand] = memarg.max_align;
                        }
                    }
                }
            }
        }
        Ok(function)
    }

    /// The body with other numbers for those it calls.
    fn rewritten(&self, renumbered: &dyn Fn(u32) -> u32) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.body.len());
        let mut at = 0;
        for callee in &self.calls {
            body.extend_from_slice(&self.body[at..callee.start]);
            renumbered(callee.function).encode(&mut body);
            at = callee.end;
        }
        body.extend_from_slice(&self.body[at..]);
        body
    }
}

/// The operand of a load or store of a number.
fn plain_memory_access(operator: &Operator<'_>) -> Option<MemArg> {
    use Operator::*;
    match *operator {
        I32Load { memarg }
        | I64Load { memarg }
        | F32Load { memarg }
        | F64Load { memarg }
        | I32Load8S { memarg }
        | I32Load8U { memarg }
        | I32Load16S { memarg }
        | I32Load16U { memarg }
        | I64Load8S { memarg }
        | I64Load8U { memarg }
        | I64Load16S { memarg }
        | I64Load16U { memarg }
        | I64Load32S { memarg }
        | I64Load32U { memarg }
        | I32Store { memarg }
        | I64Store { memarg }
        | F32Store { memarg }
        | F64Store { memarg }
        | I32Store8 { memarg }
        | I32Store16 { memarg }
        | I64Store8 { memarg }
        | I64Store16 { memarg }
        | I64Store32 { memarg } => Some(memarg),
        _ => None,
    }
}

fn element_section(elements: &[Element<'_>], renumbered: &dyn Fn(u32) -> u32) -> Result<ElementSection> {
    let mut section = ElementSection::new();
    for element in elements {
        let ElementItems::Functions(functions) = element.items.clone() else {
            bail!("elements that are expressions are not provided for");
        };
        let functions: Vec<u32> = functions.into_iter().map(|it| it.map(renumbered)).collect::<Result<_, _>>()?;
        let functions = Elements::Functions(functions.into());
        match &element.kind {
            ElementKind::Active { table_index, offset_expr } => {
                let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else {
                    bail!("an offset of elements that is no number is not provided for");
                };
                section.active(*table_index, &ConstExpr::i32_const(value), functions);
            }
            ElementKind::Passive => {
                section.passive(functions);
            }
            ElementKind::Declared => {
                section.declared(functions);
            }
        }
    }
    Ok(section)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

    use wasm_encoder::{Function as Body, RefType, TableSection, TableType, TypeSection, ValType};

    use super::*;

    /// Imports 0; 1 and 2 say the same; 3 calls 1 and 4 calls 2, so they come to the same; 5 is none of them.
    fn sample() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], [ValType::I32]);
        let mut imports = ImportSection::new();
        imports.import("env", "f", EntityType::Function(0));
        let mut functions = FunctionSection::new();
        for _ in 0..5 {
            functions.function(0);
        }
        let mut tables = TableSection::new();
        let table = RefType::FUNCREF;
        tables.table(TableType { element_type: table, table64: false, minimum: 3, maximum: None, shared: false });
        let mut exports = ExportSection::new();
        exports.export("three", ExportKind::Func, 3).export("four", ExportKind::Func, 4).export(
            "t",
            ExportKind::Table,
            0,
        );
        let mut elements = ElementSection::new();
        let listed = Elements::Functions(vec![0, 2, 5].into());
        elements.active(None, &ConstExpr::i32_const(0), listed);
        let mut code = CodeSection::new();
        for _ in 1..=2 {
            let mut body = Body::new([]);
            body.instructions().local_get(0).i32_const(7).i32_add().end();
            code.function(&body);
        }
        for callee in 1..=2 {
            let mut body = Body::new([]);
            body.instructions().local_get(0).call(callee).call(0).end();
            code.function(&body);
        }
        let mut body = Body::new([]);
        body.instructions().local_get(0).i32_const(1).i32_sub().end();
        code.function(&body);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables).section(&exports);
        module.section(&elements).section(&code);
        module.section(&wasm_encoder::CustomSection { name: "producers".into(), data: b"\x01".as_slice().into() });
        let mut names = NameMap::new();
        (0..6).zip(["f", "one", "two", "three", "four", "five"]).for_each(|(number, name)| names.append(number, name));
        let mut section = NameSection::new();
        section.functions(&names);
        module.section(&section);
        module.finish()
    }

    #[test]
    fn what_does_the_same_is_there_once_and_every_name_of_it_follows() {
        let packed = pack(&sample(), &Names::default()).unwrap();
        let parts = Parts::read(&packed).unwrap();
        assert_eq!((parts.imported, parts.functions.len()), (1, 3));
        // Names stay with what stays; nothing else of the tools' does.
        assert_eq!(parts.sections.iter().filter(|(id, _)| *id == SectionId::Custom as u8).count(), 1);
        let names: Vec<&str> = parts.names.iter().map(|it| it.1).collect();
        assert_eq!((names.len(), names[0]), (4, "f"));
        for name in ["one", "three", "five"] {
            assert!(names.contains(&name), "{names:?}");
        }

        let exported = |name: &str| parts.exports.iter().find(|it| it.name == name).unwrap().index;
        assert_eq!(exported("three"), exported("four"));
        assert_eq!(exported("t"), 0);
        let caller = &parts.functions[parts.local(exported("three")).unwrap()];
        let [adds, imported] = caller.calls.as_slice() else { panic!("{} calls", caller.calls.len()) };
        assert_eq!(imported.function, 0);
        let adds = adds.function;
        // local.get 0, i32.const 7, i32.add, end
        assert_eq!(parts.functions[parts.local(adds).unwrap()].body, [0, 0x20, 0, 0x41, 7, 0x6a, 0x0b]);

        let ElementItems::Functions(listed) = parts.elements[0].items.clone() else { panic!("expressions") };
        let listed: Vec<u32> = listed.into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(listed[..2], [0, adds]);
        assert_eq!(parts.functions[parts.local(listed[2]).unwrap()].body, [0, 0x20, 0, 0x41, 1, 0x6b, 0x0b]);
    }

    #[test]
    fn loads_and_stores_promise_their_natural_alignment() {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], [ValType::I64]);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut memories = wasm_encoder::MemorySection::new();
        let memory = wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        };
        memories.memory(memory);
        let mut code = CodeSection::new();
        let mut body = Body::new([]);
        let at = |align, offset| wasm_encoder::MemArg { offset, align, memory_index: 0 };
        body.instructions().local_get(0).i64_load(at(2, 300)).local_get(0).i64_load8_u(at(0, 1)).i64_add().end();
        code.function(&body);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&memories).section(&code);
        let packed = pack(&module.finish(), &Names::default()).unwrap();
        let body = &Parts::read(&packed).unwrap().functions[0].body;
        assert_eq!(*body, [0, 0x20, 0, 0x29, 3, 0xac, 2, 0x20, 0, 0x31, 0, 1, 0x7c, 0x0b]);
    }

    #[test]
    fn a_packed_module_has_nothing_left_to_merge_and_is_always_the_same() {
        let once = pack(&sample(), &Names::default()).unwrap();
        assert_eq!(pack(&sample(), &Names::default()).unwrap(), once);
        assert_eq!(Parts::read(&pack(&once, &Names::default()).unwrap()).unwrap().functions.len(), 3);
    }

    #[test]
    fn what_is_no_module_is_an_error() {
        assert!(pack(b"\0asm\x01\0\0\0\x0a\x05", &Names::default()).is_err());
    }
}
