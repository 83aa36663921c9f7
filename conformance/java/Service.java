import com.microsoft.azure.sdk.iot.service.exceptions.IotHubException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Every operation of Microsoft's Java service client, and what it makes of refusals. */
final class Service {
    static final String HOST = Check.field(Check.SERVICE, "HostName");
    private static final List<Throwable> FAILURES = new CopyOnWriteArrayList<>();

    private Service() {
    }

    public static void main(String[] args) {
        Check.main(280, () -> {
            // They have nothing to do with one another, but that the first one counts devices: all of them are tried.
            attempt(ServiceRegistry::run);
            Thread waiting = new Thread(() -> attempt(ServiceMessages::run)); // for feedback, most of the time
            waiting.start();
            for (Check.Program part : List.<Check.Program>of(ServiceTwins::run, ServiceMethods::run, ServiceJobs::run,
                ServiceConfigurations::run, ServiceFiles::run)) {
                attempt(part);
            }
            waiting.join();
            Check.equal(FAILURES, List.of(), "failures");
        });
    }

    private static void attempt(Check.Program part) {
        try {
            part.run();
        } catch (Throwable e) {
            e.printStackTrace(System.out);
            FAILURES.add(e);
        }
    }

    /**
     * The program must be refused with an exception of exactly this class and, where it is not 0, this error code. From the older of
     * the two forms of an error the SDK reads no code: it has the HTTP status then, and the name is in the text.
     */
    static void refused(String claim, Class<? extends IotHubException> kind, int code, Check.Program program) {
        Check.refused(claim, kind, e -> e.getClass() == kind && (code == 0 || e.getErrorCode() == code
            || e.getErrorCode() == code / 1000 && e.getMessage().contains("ErrorCode:")), program);
    }

    /** The connection string of a device or module. */
    static String connectionString(String device, String module, String key) {
        return "HostName=" + HOST + ";DeviceId=" + device + (module == null ? "" : ";ModuleId=" + module) + ";SharedAccessKey=" + key;
    }
}
