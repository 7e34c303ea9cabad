import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.jar.JarFile;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.ImplicitLinkedHashCollection;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.server.common.ApiMessageAndVersion;

/**
 * Writes, with Apache Kafka's own classes, every message and record at every version they support, and beside the bytes
 * what Kafka's JSON converters say is in them. README.md tells the cases, the format and how to run it.
 *
 * The same Kafka release gives the same files: instances are filled from a random generator seeded with name, version and
 * case.
 */
public final class GoldenMessages {
    /** The jars that hold message classes, without their version. Streams is missing: its one message has no converter. */
    private static final List<String> JARS = List.of(
        "kafka-clients", "kafka-metadata", "kafka-raft", "kafka-group-coordinator", "kafka-share-coordinator",
        "kafka-transaction-coordinator", "kafka-storage");
    private static final String CONVERTER = "JsonConverter";
    private static final int UNKNOWN_TAG = 9000;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** How generously an instance is filled. */
    private enum Fill { FULL, SPARSE }

    public static void main(String[] args) throws Exception {
        if (args.length != 1) {
            throw new IllegalArgumentException("usage: GoldenMessages OUT");
        }
        Path out = Files.createDirectories(Path.of(args[0]));
        Map<String, Class<?>> converters = converters();
        StringBuilder frames = new StringBuilder();
        for (Map.Entry<String, Class<?>> entry : converters.entrySet()) {
            Golden golden = new Golden(entry.getValue());
            Files.writeString(out.resolve(golden.name + ".txt"), golden.lines());
            golden.appendFrames(frames);
        }
        Files.writeString(out.resolve("metadata-frames.txt"), frames);
        System.out.println(converters.size() + " messages");
    }

    /** The converter class of every message on the class path, by class name. */
    private static Map<String, Class<?>> converters() throws IOException, ClassNotFoundException {
        Map<String, Class<?>> found = new TreeMap<>();
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            String file = new File(path).getName();
            if (JARS.stream().noneMatch(jar -> file.matches(jar + "-[0-9.]+\\.jar"))) {
                continue;
            }
            try (JarFile jar = new JarFile(path)) {
                for (var entry : (Iterable<java.util.jar.JarEntry>) jar.stream()::iterator) {
                    String name = entry.getName();
                    if (name.endsWith(CONVERTER + ".class") && !name.contains("$")) {
                        Class<?> converter = Class.forName(name.replace(".class", "").replace('/', '.'));
                        if (found.put(converter.getSimpleName(), converter) != null) {
                            throw new IllegalStateException("two messages are called " + converter.getSimpleName());
                        }
                    }
                }
            }
        }
        if (found.isEmpty()) {
            throw new IllegalStateException("no Kafka jar on the class path");
        }
        return found;
    }

    /** One message: its class, its converter and its file of lines. */
    private static final class Golden {
        final String name;
        final Class<? extends Message> type;
        final Method toJson;

        Golden(Class<?> converter) throws ReflectiveOperationException {
            String typeName = converter.getName().substring(0, converter.getName().length() - CONVERTER.length());
            this.type = Class.forName(typeName).asSubclass(Message.class);
            // Requests, responses and headers get the suffix from the generator, other messages have it in their name.
            this.name = type.getSimpleName().replaceFirst("(?<=Request|Response|Header)Data$", "");
            this.toJson = converter.getMethod("write", type, short.class, boolean.class);
        }

        String lines() throws Exception {
            StringBuilder lines = new StringBuilder();
            short highest = constant("HIGHEST_SUPPORTED_VERSION");
            for (short version = constant("LOWEST_SUPPORTED_VERSION"); version <= highest; version++) {
                line(lines, version, "default", create(type));
                Message full = filled(version, Fill.FULL);
                String fullLine = line(lines, version, "full", full);
                if (!hex(full, version).equals(hex(filled(version, Fill.SPARSE), version))) {
                    line(lines, version, "sparse", filled(version, Fill.SPARSE));
                }
                if (version == highest) {
                    unknownTag(lines, version, full, fullLine);
                }
            }
            return lines.toString();
        }

        /** Metadata records also in the frame that the metadata log holds. */
        void appendFrames(StringBuilder frames) throws Exception {
            if (!type.getPackageName().equals("org.apache.kafka.common.metadata")) {
                return;
            }
            short highest = constant("HIGHEST_SUPPORTED_VERSION");
            for (short version = constant("LOWEST_SUPPORTED_VERSION"); version <= highest; version++) {
                Message record = filled(version, Fill.FULL);
                ApiMessageAndVersion framed = new ApiMessageAndVersion((ApiMessage) record, version);
                ObjectSerializationCache cache = new ObjectSerializationCache();
                MetadataRecordSerde serde = MetadataRecordSerde.INSTANCE;
                ByteBuffer buffer = ByteBuffer.allocate(serde.recordSize(framed, cache));
                serde.write(framed, cache, new ByteBufferAccessor(buffer));
                frames.append(name).append(' ').append(version).append(' ')
                    .append(HexFormat.of().formatHex(buffer.array())).append('\n');
            }
        }

        private String line(StringBuilder lines, short version, String label, Message message) throws Exception {
            String hex = hex(message, version);
            JsonNode json = json(message, version);
            Message again = create(type);
            ByteBuffer buffer = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
            again.read(new ByteBufferAccessor(buffer), version);
            if (buffer.hasRemaining() || !hex(again, version).equals(hex) || !json(again, version).equals(json)) {
                throw new IllegalStateException(name + " " + version + " " + label + " does not round-trip in Kafka itself");
            }
            lines.append(version).append(' ').append(label).append(' ').append(hex.isEmpty() ? "-" : hex).append(' ')
                .append(JSON.writeValueAsString(json)).append('\n');
            return hex;
        }

        /** The full instance once more, with a tagged field that no schema knows: readers must step over it. */
        private void unknownTag(StringBuilder lines, short version, Message full, String fullHex) throws Exception {
            full.unknownTaggedFields().add(new RawTaggedField(UNKNOWN_TAG, new byte[] {1, 2, 3}));
            try {
                String hex = hex(full, version);
                if (!hex.equals(fullHex)) {
                    lines.append(version).append(" unknown-tag ").append(hex).append('\n');
                }
            } catch (UnsupportedVersionException e) {
                // Not a flexible version: there is no room for tagged fields.
            }
        }

        private short constant(String field) throws ReflectiveOperationException {
            return type.getField(field).getShort(null);
        }

        private JsonNode json(Message message, short version) throws Exception {
            // Without `records`: the converter writes an empty value for them when asked to serialize them, a size when not.
            return (JsonNode) toJson.invoke(null, message, version, false);
        }

        private Message filled(short version, Fill fill) throws Exception {
            Random random = new Random((name + " " + version + " " + fill).hashCode());
            return new Filler(version, fill, random).message(type, 0);
        }
    }

    /** Sets every field of a message that a version can express. */
    private static final class Filler {
        private static final String[] STRINGS = {"a", "orders", "größe", "日本", "🦀", "x.y-z_0"};
        private static final double[] DOUBLES = {0.5, -1.25, 1e300, 1024.0, -0.0};
        final short version;
        final Fill fill;
        final Random random;

        Filler(short version, Fill fill, Random random) {
            this.version = version;
            this.fill = fill;
            this.random = random;
        }

        Message message(Class<? extends Message> type, int depth) throws Exception {
            Message message = create(type);
            List<Field> left = new ArrayList<>(List.of(type.getDeclaredFields()));
            left.removeIf(field -> Modifier.isStatic(field.getModifiers()) || isBookkeeping(field));
            // A field without a default that can be written (records) holds up all others until it has its value, so
            // what was refused is tried again as long as that helps.
            for (int before = left.size() + 1; left.size() < before; ) {
                before = left.size();
                for (Field field : List.copyOf(left)) {
                    if (set(message, field, depth)) {
                        left.remove(field);
                    }
                }
            }
            return message;
        }

        /** Sets a field, or leaves it at its default if the version does not know it. */
        private boolean set(Message message, Field field, int depth) throws Exception {
            field.setAccessible(true);
            Object initial = field.get(message);
            Class<?> type = field.getType();
            Method setter = message.getClass().getMethod("set" + Character.toUpperCase(field.getName().charAt(0))
                + field.getName().substring(1), type);
            boolean nullFirst = fill == Fill.SPARSE && !type.isPrimitive() && type != Uuid.class;
            if (nullFirst && accepts(message, setter, null)) {
                return true;
            }
            if (accepts(message, setter, value(type, field.getGenericType(), depth))) {
                return true;
            }
            field.set(message, initial);
            return false;
        }

        private static boolean isBookkeeping(Field field) {
            return field.getName().equals("_unknownTaggedFields")
                || (field.getType() == int.class && (field.getName().equals("next") || field.getName().equals("prev")));
        }

        /** Sets a value and answers whether the version can express the message with it. */
        private boolean accepts(Message message, Method setter, Object value) throws Exception {
            try {
                setter.invoke(message, value);
            } catch (InvocationTargetException e) {
                if (!String.valueOf(e.getCause().getMessage()).contains("unsigned")) {
                    throw e;
                }
                // Java keeps an unsigned integer in the next wider type.
                setter.invoke(message, value instanceof Integer
                    ? (Object) ((Integer) value & 0xffff) : (Object) ((Long) value & 0xffffffffL));
            }
            try {
                hex(message, version);
                return true;
            } catch (UnsupportedVersionException | NullPointerException e) {
                return false;
            }
        }

        private Object value(Class<?> type, Type generic, int depth) throws Exception {
            if (type == boolean.class || type == Boolean.class) return random.nextInt(4) != 0;
            if (type == byte.class || type == Byte.class) return (byte) integer(Byte.MIN_VALUE, Byte.MAX_VALUE);
            if (type == short.class || type == Short.class) return (short) integer(Short.MIN_VALUE, Short.MAX_VALUE);
            if (type == int.class || type == Integer.class) return (int) integer(Integer.MIN_VALUE, Integer.MAX_VALUE);
            if (type == long.class || type == Long.class) return integer(Long.MIN_VALUE, Long.MAX_VALUE);
            if (type == double.class) return DOUBLES[random.nextInt(DOUBLES.length)];
            if (type == String.class) return string();
            if (type == Uuid.class) return new Uuid(random.nextLong(), random.nextLong());
            if (type == byte[].class) return bytes();
            if (type == ByteBuffer.class) return ByteBuffer.wrap(bytes());
            if (BaseRecords.class.isAssignableFrom(type)) return records();
            if (Message.class.isAssignableFrom(type)) return message(type.asSubclass(Message.class), depth + 1);
            if (ImplicitLinkedHashCollection.class.isAssignableFrom(type)) {
                Type element = ((ParameterizedType) type.getGenericSuperclass()).getActualTypeArguments()[0];
                return elements(newInstance(type, Collection.class), element, depth);
            }
            if (type == List.class) {
                return elements(new ArrayList<>(), ((ParameterizedType) generic).getActualTypeArguments()[0], depth);
            }
            throw new IllegalStateException("no values for " + generic);
        }

        /** Two elements at the top, one further down; when sparse, none or one. */
        private <T extends Collection<?>> T elements(T collection, Type element, int depth) throws Exception {
            @SuppressWarnings("unchecked") Collection<Object> open = (Collection<Object>) collection;
            int count = fill == Fill.FULL ? (depth == 0 ? 2 : 1) : random.nextInt(2);
            Class<?> type = element instanceof ParameterizedType
                ? (Class<?>) ((ParameterizedType) element).getRawType() : (Class<?>) element;
            for (int i = 0; i < count; i++) {
                open.add(value(type, element, depth + 1));
            }
            return collection;
        }

        /** Mostly a value of its own, so that swapped fields show; sometimes an edge. */
        private long integer(long lowest, long highest) {
            switch (random.nextInt(8)) {
                case 0: return lowest;
                case 1: return highest;
                case 2: return -1;
                default: return lowest == Long.MIN_VALUE ? random.nextLong() : lowest + (long) (random.nextDouble() * (highest - lowest));
            }
        }

        /** Sometimes of a length whose varint takes two bytes. */
        private String string() {
            return random.nextInt(40) == 0 ? "n".repeat(127) : STRINGS[random.nextInt(STRINGS.length)] + random.nextInt(100);
        }

        private byte[] bytes() {
            byte[] bytes = new byte[random.nextInt(5)];
            random.nextBytes(bytes);
            return bytes;
        }

        private MemoryRecords records() {
            return MemoryRecords.withRecords(Compression.NONE,
                new SimpleRecord(1_700_000_000_000L, "k".getBytes(StandardCharsets.UTF_8), "v".getBytes(StandardCharsets.UTF_8)));
        }
    }

    private static Message create(Class<? extends Message> type) throws ReflectiveOperationException {
        return newInstance(type, Message.class);
    }

    private static <T> T newInstance(Class<?> type, Class<T> as) throws ReflectiveOperationException {
        Constructor<?> constructor = type.getDeclaredConstructor();
        return as.cast(constructor.newInstance());
    }

    private static String hex(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) {
            throw new IllegalStateException("Kafka's size and bytes disagree about " + message);
        }
        return HexFormat.of().formatHex(buffer.array());
    }
}
