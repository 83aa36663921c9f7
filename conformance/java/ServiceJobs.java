import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.jobs.DirectMethodsJobOptions;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJob;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobStatus;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobType;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobsClient;
import com.microsoft.azure.sdk.iot.service.query.JobQueryResponse;
import com.microsoft.azure.sdk.iot.service.query.QueryClient;
import com.microsoft.azure.sdk.iot.service.query.RawQueryResponse;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import com.microsoft.azure.sdk.iot.service.twin.TwinClient;
import java.util.Date;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** ScheduledJobsClient, and queries of jobs. */
final class ServiceJobs {
    private static final ScheduledJobsClient JOBS = new ScheduledJobsClient(Check.SERVICE);
    private static final RegistryClient REGISTRY = new RegistryClient(Check.SERVICE);
    private static final String CONDITION = "deviceId IN ['job0', 'job1', 'job2']";

    private ServiceJobs() {
    }

    static void run() throws Exception {
        for (int i = 0; i < 3; i++) {
            REGISTRY.addDevice(new Device("job" + i));
        }
        twinJob();
        methodJob();
        others();
        for (int i = 0; i < 3; i++) {
            REGISTRY.removeDevice("job" + i);
        }
    }

    private static ScheduledJob finished(String id) throws Exception {
        ScheduledJob[] job = new ScheduledJob[1];
        Check.eventually("job " + id + " ends", 60, () -> {
            job[0] = JOBS.get(id);
            return Set.of(ScheduledJobStatus.completed, ScheduledJobStatus.failed, ScheduledJobStatus.cancelled).contains(job[0].getJobStatus());
        });
        return job[0];
    }

    private static void twinJob() throws Exception {
        Twin update = new Twin();
        update.setETag("*");
        update.getTags().put("batch", "first");
        update.getDesiredProperties().put("level", 3);
        ScheduledJob job = JOBS.scheduleUpdateTwin("twin-job", CONDITION, update, new Date(), 60);
        Check.equal(List.of(job.getJobId(), job.getJobType()), List.of("twin-job", ScheduledJobType.scheduleUpdateTwin), "a scheduled job");
        job = finished("twin-job");
        Check.equal(List.of(job.getJobStatus(), job.getQueryCondition(), job.getMaxExecutionTimeInSeconds()),
            List.of(ScheduledJobStatus.completed, CONDITION, 60L), "what it was");
        Check.equal(List.of(job.getJobStatistics().getDeviceCount(), job.getJobStatistics().getSucceededCount(), job.getJobStatistics().getFailedCount()),
            List.of(3, 3, 0), "its statistics");
        Check.check(job.getStartTime() != null && job.getCreatedTime() != null && job.getEndTime() != null, "its times", job);
        for (int i = 0; i < 3; i++) {
            Twin twin = new TwinClient(Check.SERVICE).get("job" + i);
            Check.equal(List.of(twin.getTags().get("batch"), ((Number) twin.getDesiredProperties().get("level")).intValue()), List.of("first", 3), "twin " + i);
        }
    }

    private static void methodJob() throws Exception {
        String key = REGISTRY.getDevice("job0").getPrimaryKey();
        try (ServiceDevice device = new ServiceDevice(Service.connectionString("job0", null, key), IotHubClientProtocol.MQTT, null)) {
            Check.check(device.messages.isEmpty(), "a device for jobs");
            JOBS.scheduleDirectMethod("method-job", "deviceId = 'job0'", "echo", new Date(),
                DirectMethodsJobOptions.builder().payload("for all").maxExecutionTimeSeconds(60).build());
            ScheduledJob job = finished("method-job");
            Check.equal(List.of(job.getJobStatus(), job.getJobType(), job.getJobStatistics().getSucceededCount()),
                List.of(ScheduledJobStatus.completed, ScheduledJobType.scheduleDeviceMethod, 1), "a method job");
            // The SDK's own class cannot hold such a row: it looks for the answer where the request is.
            RawQueryResponse rows = new QueryClient(Check.SERVICE).queryRaw("SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'method-job'");
            JsonObject row = JsonParser.parseString(rows.next()).getAsJsonObject();
            Check.equal(List.of(row.get("deviceId").getAsString(), row.get("jobId").getAsString(), row.get("status").getAsString()),
                List.of("job0", "method-job", "completed"), "the device's row");
            Check.equal(row.getAsJsonObject("outcome").get("deviceMethodResponse"),
                JsonParser.parseString("{\"status\":200,\"payload\":{\"name\":\"echo\",\"payload\":\"for all\"}}"), "and the device's answer");
            Check.check(!rows.hasNext(), "one row");
            JOBS.scheduleDirectMethod("bare-job", "deviceId = 'job0'", "echo", new Date());
            Check.equal(finished("bare-job").getJobStatistics().getSucceededCount(), 1, "a method without payload");
        }
        // The device is away now.
        JOBS.scheduleDirectMethod("vain-job", "deviceId = 'job0'", "echo", new Date(), DirectMethodsJobOptions.builder()
            .methodConnectTimeoutSeconds(1).methodResponseTimeoutSeconds(5).maxExecutionTimeSeconds(10).build());
        ScheduledJob vain = finished("vain-job");
        Check.equal(vain.getJobStatistics().getFailedCount(), 1, "a method of a device that is not connected");
    }

    private static void others() throws Exception {
        JOBS.scheduleDirectMethod("later-job", CONDITION, "echo", new Date(System.currentTimeMillis() + 3_600_000));
        Check.check(Set.of(ScheduledJobStatus.scheduled, ScheduledJobStatus.queued, ScheduledJobStatus.enqueued).contains(JOBS.get("later-job").getJobStatus()), "a job for later");
        Check.equal(JOBS.cancel("later-job").getJobId(), "later-job", "cancelled");
        Check.equal(finished("later-job").getJobStatus(), ScheduledJobStatus.cancelled, "for good");

        Check.equal(jobs(JOBS.query(ScheduledJobType.scheduleUpdateTwin, ScheduledJobStatus.completed)), Set.of("twin-job"), "completed twin jobs");
        Check.check(jobs(new QueryClient(Check.SERVICE).queryJobs(ScheduledJobType.scheduleDeviceMethod, ScheduledJobStatus.cancelled)).equals(Set.of("later-job")),
            "cancelled method jobs");
        Check.equal(jobs(JOBS.query("SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'twin-job'")), Set.of("twin-job"), "rows of a job");

        // So says the service of jobs that are not there, and of conditions with a fault.
        Check.equal(JOBS.get("nobody").getJobStatus(), ScheduledJobStatus.unknown, "a job that is not there");
        JOBS.scheduleDirectMethod("bad-job", "deviceId = = 'x'", "echo", new Date());
        Check.equal(finished("bad-job").getJobStatus(), ScheduledJobStatus.failed, "a condition with a fault");
        Service.refused("cancelling a job that is not there", IotHubNotFoundException.class, 0, () -> JOBS.cancel("nobody"));
        Check.refused("a job that is there", com.microsoft.azure.sdk.iot.service.exceptions.IotHubException.class, e -> true,
            () -> JOBS.scheduleDirectMethod("twin-job", CONDITION, "echo", new Date()));
    }

    private static Set<String> jobs(JobQueryResponse response) throws Exception {
        Set<String> ids = new HashSet<>();
        while (response.hasNext()) {
            ids.add(response.next().getJobId());
        }
        return ids;
    }
}
