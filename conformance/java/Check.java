import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.function.Predicate;

/** What the programs share: a bound on their time, comparisons that tell, and waiting. */
final class Check {
    static final String SERVICE = System.getenv("IOTHUB_CONNECTION_STRING");
    static final String ADMIN = System.getenv("HUBNERITE_ADMIN_URL").replaceAll("/$", "");

    private Check() {
    }

    interface Program {
        void run() throws Exception;
    }

    /** Runs a program with a bound on its time. */
    static void main(int seconds, Program program) {
        Thread watchdog = new Thread(() -> {
            try {
                Thread.sleep(seconds * 1000L);
            } catch (InterruptedException e) {
                return;
            }
            System.out.println("FAILED: still running after " + seconds + " s");
            Thread.getAllStackTraces().entrySet().stream().filter(e -> e.getKey().getName().equals("main"))
                .forEach(e -> System.out.println(Arrays.toString(e.getValue())));
            Runtime.getRuntime().halt(3);
        });
        watchdog.setDaemon(true);
        watchdog.start();
        try {
            program.run();
        } catch (Throwable e) {
            System.out.print("FAILED: ");
            e.printStackTrace(System.out);
            System.out.flush();
            Runtime.getRuntime().halt(1);
        }
        System.out.println("PASSED");
        System.out.flush();
        // The SDKs' threads would live on for a while.
        Runtime.getRuntime().halt(0);
    }

    /** The features have been checked over the transport ("mqtt", "mqtt-ws", "amqp", "amqp-ws", "http"): cells of the matrix in docs/coverage.md. */
    static void cell(String transport, String... features) {
        for (String feature : features) {
            System.out.println("cell: java " + transport + " " + feature + " pass");
        }
    }

    /** The SDK itself says, in these words, that it has no such feature over the transport. */
    static void notSupported(String transport, String feature, String words) {
        System.out.println("cell: java " + transport + " " + feature + " not supported: " + words.replaceAll("\\s+", " ").trim());
    }

    static void check(boolean condition, String claim, Object... details) {
        if (!condition) {
            throw new AssertionError(claim + ": " + Arrays.deepToString(details));
        }
        System.out.println("ok: " + claim);
    }

    static void equal(Object got, Object want, String claim) {
        if (!Objects.deepEquals(got, want)) {
            throw new AssertionError(claim + ": got " + text(got) + ", want " + text(want));
        }
        System.out.println("ok: " + claim);
    }

    private static String text(Object value) {
        return value instanceof Object[] array ? Arrays.deepToString(array) : String.valueOf(value);
    }

    /** Waits until the condition is true. */
    static void eventually(String claim, Callable<Boolean> condition) throws Exception {
        eventually(claim, 60, condition);
    }

    static void eventually(String claim, int seconds, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + seconds * 1_000_000_000L;
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError(claim + ": not within " + seconds + " s");
            }
            Thread.sleep(30);
        }
        System.out.println("ok: " + claim);
    }

    /** The program must fail with an exception of the class, for which the test holds. */
    static <E extends Throwable> E refused(String claim, Class<E> kind, Predicate<E> test, Program program) {
        try {
            program.run();
        } catch (Throwable e) {
            if (!kind.isInstance(e) || !test.test(kind.cast(e))) {
                throw new AssertionError(claim + ": failed with " + e, e);
            }
            System.out.println("ok: " + claim + " - " + String.valueOf(e.getMessage()).lines().findFirst().orElse(""));
            return kind.cast(e);
        }
        throw new AssertionError(claim + ": must fail");
    }

    /** A field of a connection string. */
    static String field(String connectionString, String name) {
        return Arrays.stream(connectionString.split(";")).filter(part -> part.startsWith(name + "=")).findFirst().orElseThrow()
            .substring(name.length() + 1);
    }
}
