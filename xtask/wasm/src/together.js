/** What a caller has of the engine, once it has arrived, as a module. What could not be fetched is for wasm-bindgen to tell. */
async function engine(it) {
    it = await it;
    return together(typeof Response === "function" && it instanceof Response && it.ok ? await it.arrayBuffer() : it);
}
/** A module of its parts, which xtask/wasm/src/parts.rs took apart; what is no bytes, and the bytes of a module, as it is. */
function together(arrived) {
    if (arrived?.byteLength === undefined) return arrived;
    const bytes = ArrayBuffer.isView(arrived) ? new Uint8Array(arrived.buffer, arrived.byteOffset, arrived.byteLength) : new Uint8Array(arrived);
    const begins = (...magic) => magic.every((byte, index) => bytes[index] === byte);
    if (begins(0, 0x61, 0x73, 0x6d)) return bytes;
    const damaged = () => { throw new Error("the engine's file arrived damaged or is another version; reload the page"); };
    // The kinds of parts as there, and what has no one kind.
    const [HEAD, TAIL, OPCODE, DECLARATION, GET, SET, TYPE, BRANCH, CONDITIONAL, CALLEE, CONSTANT, ADDED, BESIDE, KEPT, ADDRESS, LOADED, STORED, TARGETS, REST, SEVERAL] = Array(20).keys();
    const KINDS = SEVERAL;
    const FIRST = 16 + 4 * KINDS;
    // The last four bytes are the sum of all before them: bytes with the right one are as they were written.
    const written = bytes.length - 4;
    if (!begins(0x70, 0x72, 0x74, 0x32) || written < FIRST) damaged();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let sum = 0x811c9dc5 | 0;
    for (let it = 0; it < written; it++) sum = Math.imul(sum ^ bytes[it], 0x01000193);
    if (sum !== view.getInt32(written, true)) damaged();
    // Both sides of what is imported and exported are numbered: of two versions they would fit, and mean other things.
    if (view.getUint32(12, true) !== VERSION) throw new Error("the engine's file is of another version than the script that loads it; reload the page");
    const length = view.getUint32(4, true);
    const lengths = Array.from({ length: KINDS }, (_, it) => view.getUint32(16 + 4 * it, true));
    let begin = FIRST;
    let pairs = begin + lengths.reduce((sum, it) => sum + it);
    if (pairs > written) damaged();
    // A part as it was before bytes stood for pairs.
    const parts = lengths.map((own) => {
        const coded = bytes.subarray(begin, begin += own);
        const texts = Array.from({ length: 256 }, (_, code) => [code]);
        for (let left = bytes[pairs++]; left > 0; left--) {
            if (pairs + 3 > written) damaged();
            const text = texts[bytes[pairs]] = [...texts[bytes[pairs + 1]], ...texts[bytes[pairs + 2]]];
            if (text.length > length) damaged();
            pairs += 3;
        }
        let size = 0;
        for (let it = 0; it < own; it++) size += texts[coded[it]].length;
        if (size > length) damaged();
        const part = new Uint8Array(size);
        for (let it = 0, at = 0; it < own; it++) {
            const text = texts[coded[it]];
            for (let index = 0; index < text.length; index++) part[at++] = text[index];
        }
        return part;
    });
    // Of each opcode: what it is in the module, which part its operands are in, how many they are; and its alignment.
    const shown = Uint8Array.from(Array(256).keys());
    shown[6] = 0x41;
    const kinds = new Uint8Array(256), counts = new Uint8Array(256), align = new Uint8Array(256);
    const kind = (it, count, ...opcodes) => opcodes.forEach((opcode) => { kinds[opcode] = it; counts[opcode] = count; });
    kind(TYPE, 1, 2, 3, 4, 0x23, 0x24);
    kind(ADDRESS, 1, 6);
    kind(BRANCH, 1, 0x0c);
    kind(CONDITIONAL, 1, 0x0d);
    kind(CALLEE, 1, 0x10);
    kind(GET, 1, 0x20);
    kind(SET, 1, 0x21, 0x22);
    kind(CONSTANT, 1, 0x41);
    kind(REST, 1, 0x25, 0x26, 0x3f, 0x40, 0x42, 0xd0, 0xd2);
    kind(REST, 2, 0x11);
    kind(SEVERAL, 1, 0x0e, 0x43, 0x44, 0xfc);
    [..."23230011001122232301012"].forEach((it, index) => { kind(index < 14 ? LOADED : STORED, 1, 0x28 + index); align[0x28 + index] = it; });
    // Of a constant by the opcode behind it.
    const before = new Uint8Array(256).fill(CONSTANT).fill(KEPT, 0x36, 0x3f);
    before[0x6a] = ADDED;
    before[0x20] = BESIDE;
    const long = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];
    // A body is made behind the longest size that it could have, and moved.
    const GAP = 5;
    const out = new Uint8Array(length + GAP);
    out.set(parts[HEAD]);
    const opcodes = parts[OPCODE], declarations = parts[DECLARATION];
    const next = new Uint32Array(KINDS);
    let at = parts[HEAD].length, step = 0, it, byte, shift;
    for (let functions = view.getUint32(8, true); functions > 0; functions--) {
        const start = at;
        at += GAP;
        let runs = shift = 0;
        it = next[DECLARATION];
        do {
            out[at++] = byte = declarations[it++];
            runs |= (byte & 127) << shift;
            shift += 7;
        } while (byte > 127);
        if (runs > declarations.length) damaged();
        for (; runs > 0; runs--) {
            do out[at++] = byte = declarations[it++]; while (byte > 127);
            out[at++] = declarations[it++];
        }
        next[DECLARATION] = it;
        for (let depth = 1; depth > 0;) {
            if (step >= opcodes.length) damaged();
            const opcode = opcodes[step++];
            out[at++] = shown[opcode];
            let from = kinds[opcode], count = counts[opcode];
            if (count === 0) {
                if (opcode === 0x0b) depth--;
                continue;
            }
            if (from === LOADED || from === STORED) out[at++] = align[opcode];
            else if (opcode === 0x41) from = before[opcodes[step]];
            else if (opcode < 5) depth++;
            else if (opcode === 0xfc) {
                const second = out[at++] = opcodes[step++];
                from = REST;
                count = long[second];
            } else if (opcode === 0x0e) {
                from = TARGETS;
                it = next[TARGETS];
                count = 1;
                shift = 0;
                do {
                    out[at++] = byte = parts[TARGETS][it++];
                    count += (byte & 127) << shift;
                    shift += 7;
                } while (byte > 127);
                next[TARGETS] = it;
                if (count > parts[TARGETS].length) damaged();
            } else if (from === SEVERAL) {
                for (let left = opcode === 0x43 ? 4 : 8; left > 0; left--) out[at++] = parts[REST][next[REST]++];
                continue;
            }
            const part = parts[from];
            it = next[from];
            for (; count > 0; count--) do out[at++] = byte = part[it++]; while (byte > 127);
            next[from] = it;
        }
        const body = start + GAP, end = at;
        at = start;
        let size = end - body;
        for (; size > 127; size >>>= 7) out[at++] = size & 127 | 128;
        out[at++] = size;
        out.copyWithin(at, body, end);
        at += end - body;
    }
    next[OPCODE] = step;
    const unread = parts.some((part, kind) => kind > TAIL && part.length !== next[kind]);
    if (unread || pairs !== written || at + parts[TAIL].length !== length) damaged();
    out.set(parts[TAIL], at);
    return out.subarray(0, length);
}
