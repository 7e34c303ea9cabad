import java.io.PrintStream;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.Errors;

/** Prints what Apache Kafka's classes know and its definitions do not: the error codes. One line each, tab-separated. */
public class Dump {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        for (Errors error : Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            String message = error.message() == null ? "" : error.message();
            out.println(error.name() + "\t" + error.code() + "\t" + retriable + "\t" + message.replaceAll("\\s+", " "));
        }
    }
}
