// Record batches as Apache Kafka's own classes write and read them.
//
//   java -cp '<kafka>/libs/*' RecordBatches.java write DIR   writes NAME.bin and NAME.txt, the golden files beside this one
//   java -cp '<kafka>/libs/*' RecordBatches.java check DIR   reads each NAME.bin and compares what it finds with NAME.txt
//
// `check` is for batches that Vivarium built: the test `records_golden` leaves them in target/tmp/records.
// The golden files are of Apache Kafka 4.3.1.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Collectors;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.Crc32C;

public class RecordBatches {
    static final long T = 1_700_000_000_000L;
    static Path dir;

    public static void main(String[] args) throws Exception {
        dir = Path.of(args[1]);
        switch (args[0]) {
            case "write" -> write();
            case "check" -> check();
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    static void write() throws Exception {
        save("plain", b -> { }, RecordBatches::mixed);
        save("gzip", b -> b.compression = Compression.gzip().build(), RecordBatches::repetitive);
        save("snappy", b -> b.compression = Compression.snappy().build(), RecordBatches::repetitive);
        save("lz4", b -> b.compression = Compression.lz4().build(), RecordBatches::repetitive);
        save("zstd", b -> b.compression = Compression.zstd().build(), RecordBatches::repetitive);
        save("gzip_level_9", b -> b.compression = Compression.gzip().level(9).build(), RecordBatches::mixed);
        save("snappy_small", b -> b.compression = Compression.snappy().build(), RecordBatches::mixed);
        save("lz4_level_17", b -> b.compression = Compression.lz4().level(17).build(), RecordBatches::mixed);
        save("zstd_level_22", b -> b.compression = Compression.zstd().level(22).build(), RecordBatches::mixed);
        save("idempotent", b -> { b.producerId = 4711; b.producerEpoch = 3; b.baseSequence = 17; }, RecordBatches::mixed);
        save("sequence_wraps", b -> { b.producerId = 1; b.producerEpoch = 0; b.baseSequence = Integer.MAX_VALUE - 1; },
            RecordBatches::mixed);
        save("transactional", b -> {
            b.producerId = 9_000_000_001L; b.producerEpoch = Short.MAX_VALUE; b.baseSequence = 0; b.transactional = true;
        }, RecordBatches::mixed);
        save("placed", b -> { b.baseOffset = 5_000_000_000L; b.leaderEpoch = 12; }, RecordBatches::mixed);
        save("log_append_time", b -> { b.type = TimestampType.LOG_APPEND_TIME; b.appendTime = T + 99; b.baseOffset = 7; },
            RecordBatches::mixed);
        save("log_append_time_zstd", b -> {
            b.type = TimestampType.LOG_APPEND_TIME; b.appendTime = T + 99; b.compression = Compression.zstd().build();
        }, RecordBatches::mixed);
        save("no_timestamp", b -> { }, r -> {
            r.append(RecordBatch.NO_TIMESTAMP, bytes("k"), bytes("v"));
            r.append(RecordBatch.NO_TIMESTAMP, bytes("k"), null);
        });
        save("wide_deltas", b -> { }, r -> {
            r.append(T, null, bytes("now"));
            r.append(0L, null, bytes("long ago"));
            r.append(Long.MAX_VALUE, null, bytes("never"));
        });
        save("many", b -> b.baseOffset = 100, r -> {
            for (int i = 0; i < 300; i++)
                r.append(T + (i % 7) * 1000L - i, i % 3 == 0 ? null : bytes("key-" + i), bytes("v" + i));
        });
        save("delete_horizon", b -> { b.deleteHorizon = T + 86_400_000; b.baseOffset = 40; b.leaderEpoch = 2; },
            r -> r.append(T, bytes("tombstone"), null));
        control();
        compacted();
        save("two_batches", concat(one(b -> { }, RecordBatches::mixed),
            one(b -> { b.baseOffset = 6; b.leaderEpoch = 1; b.compression = Compression.lz4().build(); }, RecordBatches::mixed)));
    }

    /** Every shape a record can have, with timestamps that go back. */
    static void mixed(MemoryRecordsBuilder r) {
        r.append(T, bytes("key"), bytes("value"));
        r.append(T - 5, null, bytes("no key"));
        r.append(T + 70_000, bytes("no value"), null);
        r.append(T + 1, null, (byte[]) null);
        r.append(T + 2, bytes(""), bytes(""), new Header[] {
            new RecordHeader("trace", bytes("abc")), new RecordHeader("", bytes("")),
            new RecordHeader("null", (byte[]) null), new RecordHeader("trace", bytes("again")),
            new RecordHeader("Schlüssel", bytes("ü")),
        });
        r.append(T + 3, bytes("x".repeat(63)), bytes("y".repeat(200)));
    }

    /** More than any codec's block (128 KiB for zstd), small on disk. */
    static void repetitive(MemoryRecordsBuilder r) {
        for (int i = 0; i < 40; i++)
            r.append(T + i, bytes("key-" + i), bytes(("line " + i + " of the same old song; ").repeat(150)));
    }

    static void control() throws Exception {
        for (ControlRecordType type : List.of(ControlRecordType.COMMIT, ControlRecordType.ABORT))
            save(type.name().toLowerCase(), MemoryRecords.withEndTransactionMarker(33, T, 4, 4711, (short) 3,
                new EndTransactionMarker(type, 8)));
        save("leader_change", MemoryRecords.withLeaderChangeMessage(10, T, 5, room(), new LeaderChangeMessage()
            .setLeaderId(1)
            .setVoters(List.of(voter(1), voter(2), voter(3)))
            .setGrantingVoters(List.of(voter(1), voter(3)))));
        save("snapshot_header", MemoryRecords.withSnapshotHeaderRecord(0, T, 5, room(),
            new SnapshotHeaderRecord().setLastContainedLogTimestamp(T - 1)));
        save("snapshot_footer", MemoryRecords.withSnapshotFooterRecord(9, T, 5, room(), new SnapshotFooterRecord()));
        save("kraft_version", MemoryRecords.withKRaftVersionRecord(1, T, 5, room(), new KRaftVersionRecord().setKRaftVersion((short) 1)));
        save("kraft_voters", MemoryRecords.withVotersRecord(2, T, 5, room(), new VotersRecord().setVoters(List.of(
            new VotersRecord.Voter().setVoterId(1).setVoterDirectoryId(new Uuid(1, 2)).setEndpoints(
                new VotersRecord.EndpointCollection(List.of(new VotersRecord.Endpoint()
                    .setName("CONTROLLER").setHost("localhost").setPort(9093)).iterator()))))));
    }

    static LeaderChangeMessage.Voter voter(int id) {
        return new LeaderChangeMessage.Voter().setVoterId(id);
    }

    /** What the log cleaner leaves: of one batch every second record, of another nothing. */
    static void compacted() throws Exception {
        Consumer<Options> producer = b -> {
            b.producerId = 7; b.producerEpoch = 1; b.baseSequence = 50; b.baseOffset = 20; b.leaderEpoch = 3;
        };
        save("compacted", filter(one(producer, RecordBatches::mixed), record -> record.offset() % 2 == 1));
        save("compacted_gzip", filter(one(producer.andThen(b -> b.compression = Compression.gzip().build()),
            RecordBatches::mixed), record -> record.offset() % 2 == 1));
        save("compacted_empty", filter(one(producer, RecordBatches::mixed), record -> false));
    }

    static MemoryRecords filter(MemoryRecords records, java.util.function.Predicate<Record> keep) {
        var filter = new MemoryRecords.RecordFilter(T, 1000) {
            @Override
            protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                return new BatchRetentionResult(BatchRetention.RETAIN_EMPTY, false);
            }
            @Override
            protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                return keep.test(record);
            }
        };
        ByteBuffer out = ByteBuffer.allocate(1 << 20);
        var result = records.filterTo(filter, out, BufferSupplier.NO_CACHING);
        ByteBuffer filtered = result.outputBuffer();
        filtered.flip();
        return MemoryRecords.readableRecords(filtered);
    }

    static class Options {
        Compression compression = Compression.NONE;
        TimestampType type = TimestampType.CREATE_TIME;
        long baseOffset = 0, appendTime = RecordBatch.NO_TIMESTAMP, producerId = RecordBatch.NO_PRODUCER_ID;
        short producerEpoch = RecordBatch.NO_PRODUCER_EPOCH;
        int baseSequence = RecordBatch.NO_SEQUENCE, leaderEpoch = RecordBatch.NO_PARTITION_LEADER_EPOCH;
        boolean transactional = false;
        long deleteHorizon = RecordBatch.NO_TIMESTAMP;
    }

    static MemoryRecords one(Consumer<Options> options, Consumer<MemoryRecordsBuilder> records) {
        Options o = new Options();
        options.accept(o);
        var builder = new MemoryRecordsBuilder(new ByteBufferOutputStream(1 << 20), RecordBatch.MAGIC_VALUE_V2, o.compression,
            o.type, o.baseOffset, o.appendTime, o.producerId, o.producerEpoch, o.baseSequence, o.transactional, false,
            o.leaderEpoch, 1 << 20, o.deleteHorizon);
        records.accept(builder);
        return builder.build();
    }

    static void save(String name, Consumer<Options> options, Consumer<MemoryRecordsBuilder> records) throws Exception {
        save(name, one(options, records));
    }

    static void save(String name, MemoryRecords records) throws Exception {
        ByteBuffer buffer = records.buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        Files.write(dir.resolve(name + ".bin"), bytes);
        Files.writeString(dir.resolve(name + ".txt"), describe(bytes));
    }

    static MemoryRecords concat(MemoryRecords... parts) {
        ByteBuffer all = ByteBuffer.allocate(1 << 20);
        for (MemoryRecords part : parts)
            all.put(part.buffer());
        all.flip();
        return MemoryRecords.readableRecords(all);
    }

    static void check() throws Exception {
        List<Path> files;
        try (var listed = Files.list(dir)) {
            files = listed.filter(path -> path.toString().endsWith(".bin")).sorted().collect(Collectors.toList());
        }
        int wrong = 0;
        for (Path file : files) {
            String expected = Files.readString(Path.of(file.toString().replace(".bin", ".txt")));
            String found;
            try {
                found = describe(Files.readAllBytes(file));
            } catch (Exception e) {
                found = "cannot be read: " + e;
            }
            boolean right = found.equals(expected);
            System.out.println((right ? "same   " : "DIFFERS ") + file.getFileName());
            if (!right) {
                wrong++;
                System.out.println("expected:\n" + expected + "found:\n" + found);
            }
        }
        System.out.println(files.size() + " files, " + wrong + " wrong");
        System.exit(files.isEmpty() || wrong > 0 ? 1 : 0);
    }

    /** One line a batch, one a record. */
    static String describe(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (MutableRecordBatch it : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) {
            DefaultRecordBatch batch = (DefaultRecordBatch) it;
            batch.ensureValid();
            out.append("batch base_offset=").append(batch.baseOffset())
                .append(" last_offset=").append(batch.lastOffset())
                .append(" leader_epoch=").append(batch.partitionLeaderEpoch())
                .append(" crc=").append(batch.checksum())
                .append(" compression=").append(batch.compressionType().name)
                .append(" timestamps=").append(batch.timestampType().name)
                .append(" transactional=").append(batch.isTransactional())
                .append(" control=").append(batch.isControlBatch())
                .append(" delete_horizon=").append(batch.deleteHorizonMs().isPresent() ? batch.deleteHorizonMs().getAsLong() : "none")
                .append(" base_timestamp=").append(batch.baseTimestamp())
                .append(" max_timestamp=").append(batch.maxTimestamp())
                .append(" producer_id=").append(batch.producerId())
                .append(" producer_epoch=").append(batch.producerEpoch())
                .append(" base_sequence=").append(batch.baseSequence())
                .append(" last_sequence=").append(batch.lastSequence())
                .append(" records=").append(batch.countOrNull())
                .append(" size=").append(batch.sizeInBytes())
                .append('\n');
            for (Record record : batch)
                describe(record, batch.isControlBatch(), out);
        }
        return out.toString();
    }

    static void describe(Record record, boolean control, StringBuilder out) {
        out.append("  record offset=").append(record.offset())
            .append(" timestamp=").append(record.timestamp())
            .append(" key=").append(show(record.hasKey() ? array(record.key()) : null))
            .append(" value=").append(show(record.hasValue() ? array(record.value()) : null));
        if (control)
            out.append(" type=").append(ControlRecordType.parse(record.key()));
        if (record.headers().length > 0) {
            List<String> headers = new ArrayList<>();
            for (Header header : record.headers())
                headers.add(show(bytes(header.key())) + "=" + show(header.value()));
            out.append(" headers=").append(String.join(",", headers));
        }
        out.append('\n');
    }

    /** Short bytes in hexadecimal, long ones by length and CRC-32C. */
    static String show(byte[] bytes) {
        if (bytes == null)
            return "null";
        if (bytes.length > 64)
            return bytes.length + ":" + Crc32C.compute(bytes, 0, bytes.length);
        StringBuilder hex = new StringBuilder("x");
        for (byte b : bytes)
            hex.append(String.format("%02x", b));
        return hex.toString();
    }

    static byte[] array(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static ByteBuffer room() {
        return ByteBuffer.allocate(4096);
    }
}
