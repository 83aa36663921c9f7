import com.microsoft.azure.sdk.iot.service.configurations.Configuration;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationContent;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationMetrics;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationsClient;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubConflictException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubPreconditionFailedException;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.twin.DeviceCapabilities;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import com.microsoft.azure.sdk.iot.service.twin.TwinClient;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** ConfigurationsClient: made, applied, replaced, removed. */
final class ServiceConfigurations {
    private static final ConfigurationsClient CONFIGURATIONS = new ConfigurationsClient(Check.SERVICE);
    private static final TwinClient TWINS = new TwinClient(Check.SERVICE);
    private static final RegistryClient REGISTRY = new RegistryClient(Check.SERVICE);

    private ServiceConfigurations() {
    }

    static void run() throws Exception {
        REGISTRY.addDevice(new Device("conf"));
        Twin tags = new Twin("conf");
        tags.getTags().put("zone", "one");
        TWINS.patch(tags);

        Configuration made = CONFIGURATIONS.create(configuration("c-low", 10, "20"));
        Check.equal(List.of(made.getId(), made.getPriority(), made.getTargetCondition(), made.getLabels()),
            List.of("c-low", 10, "tags.zone='one'", Map.of("made", "by java")), "a configuration");
        Check.check(made.getEtag() != null && made.getCreatedTimeUtc() != null, "its etag and time", made.getEtag());
        Check.eventually("it is applied", () -> wish("conf").equals("20"));
        Check.eventually("the twin names it", () -> TWINS.get("conf").getConfigurations().containsKey("c-low"));
        CONFIGURATIONS.create(configuration("c-high", 20, "40"));
        Check.eventually("the higher priority wins", () -> wish("conf").equals("40"));
        Configuration got = CONFIGURATIONS.get("c-high");
        Check.equal(got.getContent().getDeviceContent().get("properties.desired.level"), Map.of("value", "40"), "its content");
        Check.equal(got.getMetrics().getQueries().keySet(), Set.of("mine"), "its metrics");
        Check.eventually("how many it is for", () -> results("c-high").equals(Map.of("targetedCount", 1L, "appliedCount", 1L)));
        Set<String> ids = new HashSet<>();
        CONFIGURATIONS.get(20).forEach(c -> ids.add(c.getId()));
        Check.equal(ids, Set.of("c-low", "c-high"), "all configurations");

        got.setPriority(5);
        Configuration replaced = CONFIGURATIONS.replace(got);
        Check.equal(replaced.getPriority(), 5, "another priority");
        Check.eventually("now the other wins", () -> wish("conf").equals("20"));
        Service.refused("removal with an old etag", IotHubPreconditionFailedException.class, 412001, () -> CONFIGURATIONS.delete(got));
        Service.refused("a configuration that is there", IotHubConflictException.class, 0, () -> CONFIGURATIONS.create(configuration("c-low", 1, "1")));
        Service.refused("a configuration that is not there", IotHubNotFoundException.class, 0, () -> CONFIGURATIONS.get("nobody"));
        Service.refused("replacing one that is not there", IotHubNotFoundException.class, 0, () -> CONFIGURATIONS.replace(configuration("nobody", 1, "1")));
        Service.refused("removing one that is not there", IotHubNotFoundException.class, 0, () -> CONFIGURATIONS.delete("nobody"));
        Configuration bad = configuration("c-bad", 1, "1");
        bad.setTargetCondition("tags.zone = =");
        Service.refused("a condition with a fault", IotHubBadFormatException.class, 0, () -> CONFIGURATIONS.create(bad));
        CONFIGURATIONS.delete(replaced);
        CONFIGURATIONS.delete("c-low");
        Check.equal(CONFIGURATIONS.get(20), List.of(), "none left");
        Check.eventually("the twin forgets them", () -> TWINS.get("conf").getConfigurations() == null || TWINS.get("conf").getConfigurations().isEmpty());
        REGISTRY.removeDevice("conf");
        edge();
    }

    private static Configuration configuration(String id, int priority, String value) {
        Configuration configuration = new Configuration(id);
        ConfigurationContent content = new ConfigurationContent();
        content.setDeviceContent(new HashMap<>(Map.of("properties.desired.level", Map.of("value", value))));
        configuration.setContent(content);
        ConfigurationMetrics metrics = new ConfigurationMetrics();
        metrics.setQueries(new HashMap<>(Map.of("mine", "SELECT deviceId FROM devices WHERE tags.zone='one'")));
        configuration.setMetrics(metrics);
        configuration.setTargetCondition("tags.zone='one'");
        configuration.setPriority(priority);
        configuration.setLabels(new HashMap<>(Map.of("made", "by java")));
        return configuration;
    }

    private static String wish(String device) throws Exception {
        return TWINS.get(device).getDesiredProperties().toJsonObject().get("level") instanceof com.google.gson.JsonObject level
            ? level.get("value").getAsString() : "";
    }

    private static Map<String, Long> results(String id) throws Exception {
        Map<String, Long> all = CONFIGURATIONS.get(id).getSystemMetrics().getResults();
        return all == null ? Map.of() : all;
    }

    private static void edge() throws Exception {
        Device gateway = new Device("conf-edge");
        DeviceCapabilities capabilities = new DeviceCapabilities();
        capabilities.setIotEdge(true);
        gateway.setCapabilities(capabilities);
        REGISTRY.addDevice(gateway);
        ConfigurationContent content = new ConfigurationContent();
        content.setModulesContent(new HashMap<>(Map.of(
            "$edgeAgent", Map.of("properties.desired", Map.of("schemaVersion", "1.1",
                "runtime", Map.of("type", "docker", "settings", Map.of("minDockerVersion", "v1.25")),
                "systemModules", Map.of("edgeAgent", Map.of("type", "docker", "settings", Map.of("image", "agent:1")),
                    "edgeHub", Map.of("type", "docker", "status", "running", "restartPolicy", "always", "settings", Map.of("image", "hub:1"))),
                "modules", Map.of())),
            "$edgeHub", Map.of("properties.desired", Map.of("schemaVersion", "1.1", "routes", Map.of(),
                "storeAndForwardConfiguration", Map.of("timeToLiveSecs", 7200))))));
        CONFIGURATIONS.applyConfigurationContentOnDevice("conf-edge", content);
        Check.eventually("content applied to one device", () -> TWINS.get("conf-edge", "$edgeHub").getDesiredProperties().containsKey("storeAndForwardConfiguration"));
        Service.refused("content for nobody", IotHubNotFoundException.class, 404001, () -> CONFIGURATIONS.applyConfigurationContentOnDevice("nobody", content));
        REGISTRY.removeDevice("conf-edge");
    }
}
