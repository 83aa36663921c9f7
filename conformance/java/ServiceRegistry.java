import com.azure.core.credential.AzureSasCredential;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.service.auth.AuthenticationType;
import com.microsoft.azure.sdk.iot.service.auth.IotHubConnectionStringBuilder;
import com.microsoft.azure.sdk.iot.service.auth.IotHubServiceSasToken;
import com.microsoft.azure.sdk.iot.service.auth.SymmetricKey;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubConflictException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubPreconditionFailedException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubUnauthorizedException;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.DeviceStatus;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.registry.RegistryStatistics;
import com.microsoft.azure.sdk.iot.service.twin.DeviceCapabilities;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** RegistryClient: devices and modules of every kind of authentication, statistics, and who may do what. */
final class ServiceRegistry {
    private static final RegistryClient REGISTRY = new RegistryClient(Check.SERVICE);
    private static final String FIRST = "A".repeat(40);
    private static final String SECOND = "B".repeat(40);

    private ServiceRegistry() {
    }

    static void run() throws Exception {
        RegistryStatistics before = REGISTRY.getStatistics();
        devices();
        modules();
        edge();
        RegistryStatistics after = REGISTRY.getStatistics();
        Check.equal(after.getTotalDeviceCount() - before.getTotalDeviceCount(), 0L, "as many devices as before");
        permissions();
    }

    private static void devices() throws Exception {
        Device device = REGISTRY.addDevice(new Device("j-sas"));
        Check.check(device.getPrimaryKey() != null && device.getSecondaryKey() != null && !device.getPrimaryKey().equals(device.getSecondaryKey())
            && device.getETag() != null && device.getGenerationId() != null, "keys, etag and generation are made");
        Check.equal(List.of(device.getDeviceId(), device.getStatus(), device.getAuthenticationType(), device.getCloudToDeviceMessageCount()),
            List.of("j-sas", DeviceStatus.Enabled, AuthenticationType.SAS, 0L), "a new device");
        Check.equal(String.valueOf(device.getConnectionState()).toLowerCase(), "disconnected", "it is not connected");
        Check.equal(REGISTRY.getDevice("j-sas").getETag(), device.getETag(), "the device as it was made");

        Device own = new Device("j-own-keys");
        SymmetricKey keys = new SymmetricKey();
        keys.setPrimaryKey("cHJpbWFyeS1rZXktb2YtdGhlLWRldmljZQ==");
        keys.setSecondaryKey("c2Vjb25kYXJ5LWtleS1vZi10aGUtZGV2aWNl");
        own.setSymmetricKey(keys);
        own = REGISTRY.addDevice(own);
        Check.equal(List.of(own.getPrimaryKey(), own.getSecondaryKey()), List.of(keys.getPrimaryKey(), keys.getSecondaryKey()), "keys of one's own");
        try (DeviceClientCloser client = new DeviceClientCloser(Service.connectionString("j-own-keys", null, keys.getSecondaryKey()))) {
            Check.check(client != null, "open a device");
        }

        Device certified = new Device("j-x509", AuthenticationType.SELF_SIGNED);
        certified.setThumbprint(FIRST, SECOND);
        certified = REGISTRY.addDevice(certified);
        Check.equal(List.of(certified.getAuthenticationType(), certified.getPrimaryThumbprint(), certified.getSecondaryThumbprint()),
            List.of(AuthenticationType.SELF_SIGNED, FIRST, SECOND), "thumbprints");
        Device authority = REGISTRY.addDevice(new Device("j-ca", AuthenticationType.CERTIFICATE_AUTHORITY));
        Check.equal(REGISTRY.getDevice("j-ca").getAuthenticationType(), AuthenticationType.CERTIFICATE_AUTHORITY, "a device of an authority");

        String old = device.getETag();
        device.setStatus(DeviceStatus.Disabled);
        device = REGISTRY.updateDevice(device);
        Check.equal(device.getStatus(), DeviceStatus.Disabled, "a disabled device");
        Check.check(!device.getETag().equals(old), "has another etag", old);
        Check.equal(REGISTRY.getStatistics().getDisabledDeviceCount(), 1L, "and is counted");

        Service.refused("a device that is there", IotHubConflictException.class, 409001, () -> REGISTRY.addDevice(new Device("j-sas")));
        Service.refused("a device that is not there", IotHubNotFoundException.class, 404001, () -> REGISTRY.getDevice("nobody"));
        Service.refused("an update of one that is not there", IotHubNotFoundException.class, 404001, () -> REGISTRY.updateDevice(new Device("nobody")));
        Service.refused("an update of a module that is not there", IotHubNotFoundException.class, 404010, () -> REGISTRY.updateModule(new Module("d1", "none")));
        Service.refused("removal of one that is not there", IotHubNotFoundException.class, 404001, () -> REGISTRY.removeDevice("nobody"));
        Service.refused("an ID with a bad character", IotHubBadFormatException.class, 0, () -> REGISTRY.addDevice(new Device("bad!^id")));
        Device stale = REGISTRY.getDevice("j-own-keys");
        Device fresh = REGISTRY.getDevice("j-own-keys");
        fresh.setStatus(DeviceStatus.Disabled);
        REGISTRY.updateDevice(fresh);
        stale.setStatus(DeviceStatus.Enabled);
        // The SDK compares etags only where something is removed.
        Check.equal(REGISTRY.updateDevice(stale).getStatus(), DeviceStatus.Enabled, "an update whatever there was");
        Service.refused("removal with an old etag", IotHubPreconditionFailedException.class, 412001, () -> REGISTRY.removeDevice(stale));
        REGISTRY.removeDevice(REGISTRY.getDevice("j-own-keys"));
        for (String id : List.of("j-sas", certified.getDeviceId(), authority.getDeviceId())) {
            REGISTRY.removeDevice(id);
            Service.refused("a removed device", IotHubNotFoundException.class, 404001, () -> REGISTRY.getDevice(id));
        }
    }

    private static void modules() throws Exception {
        REGISTRY.addDevice(new Device("j-host"));
        Module module = REGISTRY.addModule(new Module("j-host", "m-sas"));
        Check.check(module.getPrimaryKey() != null && module.getETag() != null, "keys and etag of a module");
        Module certified = new Module("j-host", "m-x509", AuthenticationType.SELF_SIGNED);
        certified.setThumbprint(FIRST, SECOND);
        Check.equal(REGISTRY.addModule(certified).getPrimaryThumbprint(), FIRST, "thumbprint of a module");
        REGISTRY.addModule(new Module("j-host", "m-ca", AuthenticationType.CERTIFICATE_AUTHORITY));
        Check.equal(names(REGISTRY.getModulesOnDevice("j-host")), Set.of("m-sas", "m-x509", "m-ca"), "the modules");
        Check.equal(REGISTRY.getModule("j-host", "m-ca").getAuthenticationType(), AuthenticationType.CERTIFICATE_AUTHORITY, "a module of an authority");
        Check.equal(REGISTRY.getModulesOnDevice("d1"), List.of(), "no modules");

        String old = module.getPrimaryKey();
        SymmetricKey keys = new SymmetricKey();
        keys.setPrimaryKey("bmV3LXByaW1hcnkta2V5LW9mLWEtbW9kdWxl");
        keys.setSecondaryKey(old);
        module.setSymmetricKey(keys);
        Module changed = REGISTRY.updateModule(module);
        Check.equal(List.of(changed.getPrimaryKey(), changed.getSecondaryKey()), List.of(keys.getPrimaryKey(), old), "changed keys");
        Service.refused("a module that is there", IotHubConflictException.class, 409301, () -> REGISTRY.addModule(new Module("j-host", "m-sas")));
        Service.refused("a module that is not there", IotHubNotFoundException.class, 404010, () -> REGISTRY.getModule("j-host", "nobody"));
        // So says the service of modules of devices that are not there, or disabled.
        Service.refused("a module of nobody", IotHubUnauthorizedException.class, 401002, () -> REGISTRY.addModule(new Module("nobody", "m")));
        Service.refused("modules of nobody", IotHubUnauthorizedException.class, 401002, () -> REGISTRY.getModulesOnDevice("nobody"));
        Module stale = module;
        Service.refused("a module's removal with an old etag", IotHubPreconditionFailedException.class, 412001, () -> REGISTRY.removeModule(stale));
        REGISTRY.removeModule(changed);
        REGISTRY.removeModule("j-host", "m-x509");
        Service.refused("removal of a module that is not there", IotHubNotFoundException.class, 404010, () -> REGISTRY.removeModule("j-host", "m-x509"));
        Check.equal(names(REGISTRY.getModulesOnDevice("j-host")), Set.of("m-ca"), "what is left");
        REGISTRY.removeDevice("j-host");
        Service.refused("modules go with their device", IotHubUnauthorizedException.class, 401002, () -> REGISTRY.getModule("j-host", "m-ca"));
    }

    private static void edge() throws Exception {
        Device gateway = new Device("j-edge");
        DeviceCapabilities capabilities = new DeviceCapabilities();
        capabilities.setIotEdge(true);
        gateway.setCapabilities(capabilities);
        gateway = REGISTRY.addDevice(gateway);
        Check.check(gateway.getCapabilities().isIotEdge() && gateway.getScope().startsWith("ms-azure-iot-edge://j-edge-"), "an edge device", gateway.getScope());
        Check.equal(names(REGISTRY.getModulesOnDevice("j-edge")), Set.of("$edgeAgent", "$edgeHub"), "has the modules of the runtime");
        Device leaf = new Device("j-leaf");
        leaf.setScope(gateway.getScope());
        leaf = REGISTRY.addDevice(leaf);
        Check.equal(List.of(leaf.getScope(), leaf.getParentScopes()), List.of(gateway.getScope(), List.of(gateway.getScope())), "a device behind it");
        REGISTRY.removeDevice("j-leaf");
        REGISTRY.removeDevice("j-edge");
    }

    private static Set<String> names(List<Module> modules) {
        return modules.stream().map(Module::getId).collect(Collectors.toSet());
    }

    private static void permissions() throws Exception {
        RegistryClient wrong = new RegistryClient(Check.SERVICE.replaceAll("SharedAccessKey=.*", "SharedAccessKey=d3Jvbmcga2V5"));
        Service.refused("a wrong key", IotHubUnauthorizedException.class, 401002, () -> wrong.getDevice("d1"));
        RegistryClient reader = new RegistryClient(System.getenv("REGISTRY_READ_CONNECTION_STRING"));
        Check.equal(reader.getDevice("d1").getDeviceId(), "d1", "a reader reads");
        Service.refused("a reader that writes", IotHubUnauthorizedException.class, 401002, () -> reader.addDevice(new Device("j-none")));
        String token = new IotHubServiceSasToken(IotHubConnectionStringBuilder.createIotHubConnectionString(Check.SERVICE)).toString();
        Check.equal(new RegistryClient(Service.HOST, new AzureSasCredential(token)).getDevice("d1").getDeviceId(), "d1", "a token of one's own");
    }

    /** A device over MQTT, opened and closed. */
    private static final class DeviceClientCloser implements AutoCloseable {
        private final DeviceClient client;

        DeviceClientCloser(String connectionString) throws Exception {
            client = new DeviceClient(connectionString, IotHubClientProtocol.MQTT);
            client.open(false);
        }

        @Override
        public void close() {
            client.close();
        }
    }
}
