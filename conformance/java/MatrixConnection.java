import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.Message;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** How devices get in and stay: connections that are cut, tokens that expire, certificates. */
final class MatrixConnection {
    /** Tokens for that long; the SDK adds a second. */
    private static final int TOKEN_SECONDS = 6;

    private MatrixConnection() {
    }

    /** The program that started this one stands between the device and the hub, under another address, and cuts when it is asked to. */
    static void run() throws Exception {
        String relayed = Back.register("cut", null).replace("HostName=" + Back.HOST, "HostName=" + System.getenv("RELAY"));
        BufferedReader runner = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Peer peer = new Peer(relayed)) {
            if (!Matrix.HTTP) {
                peer.listen();
            }
            check(peer, "before");
            for (String how : List.of("closed", "reset")) {
                long losses = peer.losses();
                send(peer, how + " one ", 30);
                System.out.println("cut: " + how);
                Check.equal(runner.readLine(), "{\"cut\":\"" + how + "\"}", "the runner has cut the connection");
                send(peer, how + " two ", 30);
                if (!Matrix.HTTP) {
                    Check.eventually("the device notices that it was " + how, 60, () -> peer.losses() > losses);
                    Check.eventually("and comes back", 60, peer::connected);
                }
                check(peer, "after it was " + how);
            }
            arrived("cut", peer.delivered("telemetry around cuts"));
        }
        Matrix.pass("reconnect");
    }

    private static void send(Peer peer, String prefix, int count) throws Exception {
        for (int i = 0; i < count; i++) {
            peer.risk(prefix + i);
            Thread.sleep(10);
        }
    }

    /** Everything that a device does works, without subscribing anew. */
    private static void check(Peer peer, String label) throws Exception {
        peer.risk("checked " + label);
        Back.c2d("cut", "c2d " + label, "c " + label, new JsonObject());
        Check.eventually("a message from the cloud " + label, 60, () -> peer.got("c2d " + label));
        if (Matrix.HTTP) {
            return;
        }
        Check.eventually("a method " + label, 60, () -> Back.invoke("cut", "echo", Back.object("label", label), 10).status() == 200);
        peer.report("label", label);
        Check.equal(Back.reported("cut", "label").getAsString(), label, "a report " + label);
        Back.desire("cut", Back.object("label", label));
        Check.eventually("a desired change " + label, 60, () -> peer.desired.stream().anyMatch(d -> label.equals(d.get("label"))));
    }

    /** Everything that was acknowledged is kept; what was sent again may be there twice. */
    static void arrived(String device, List<String> bodies) throws Exception {
        List<String> kept = Back.keptBodies(device);
        Check.equal(bodies.stream().filter(body -> !kept.contains(body)).toList(), List.of(), "nothing acknowledged is lost");
    }

    /** Tokens that are renewed twice. The SDK renews them when 85% of their life is over, for which a busy machine may be too late. */
    static void renewal() throws Exception {
        for (int seconds = TOKEN_SECONDS; !renewed("renewing-" + seconds, seconds, seconds > 50); seconds *= 3) {
            System.out.println("late: once more, with tokens of " + seconds * 3 + " s");
        }
        Matrix.pass("sas-renewal");
    }

    private static boolean renewed(String device, int seconds, boolean last) throws Exception {
        ClientOptions options = Matrix.options().sasTokenExpiryTime(seconds).build();
        try (Peer peer = new Peer(Back.register(device, null), options, null)) {
            long end = System.nanoTime() + (2 * seconds + 4) * 1_000_000_000L;
            for (int i = 0; System.nanoTime() < end; i++) {
                peer.risk("token " + i);
                Thread.sleep(200);
            }
            arrived(device, peer.delivered("telemetry over two lives of a token"));
            if (Matrix.MQTT) {
                // The token is in the CONNECT packet: the hub ends the connection and the SDK comes with another one.
                Check.eventually("the connection ends with each token", 60, () -> peer.losses() >= 2);
                Check.eventually("and the device comes back", 60, peer::connected);
            } else if (peer.losses() > 0 && !last) {
                return false;
            } else {
                Check.equal(peer.losses(), 0L, "the connection goes on");
            }
            Back.c2d(device, "renewed", "m-renewed", new JsonObject());
            Check.eventually("a message from the cloud to a renewed device", 60, () -> peer.got("renewed"));
            return true;
        }
    }

    static void certificates() throws Exception {
        String own = Back.registerCertified("own", System.getenv("THUMBPRINT"));
        certified("own", own, Path.of(System.getenv("CERT_FILE")), Path.of(System.getenv("KEY_FILE")), "EC");
        Matrix.pass("x509-thumbprint");
        Path folder = Path.of(System.getenv("CERTS"));
        certified("signed", Back.registerCertified("signed", null), folder.resolve("signed.pem"), folder.resolve("signed.key"), "EC");
        certified("rsa", Back.registerCertified("rsa", null), folder.resolve("rsa.pem"), folder.resolve("rsa.key"), "RSA");
        Matrix.pass("x509-ca");
    }

    private static void certified(String device, String connectionString, Path chain, Path key, String algorithm) throws Exception {
        ClientOptions options = Matrix.options().sslContext(context(chain, key, algorithm)).build();
        try (Peer peer = new Peer(connectionString, options, null)) {
            peer.client.sendEvent(new Message("certified"));
            Check.equal(Back.keptBodies(device), List.of("certified"), "telemetry of " + device);
            Back.c2d(device, "to " + device, "m-" + device, new JsonObject());
            Check.eventually("a message from the cloud to " + device, 60, () -> peer.got("to " + device));
            if (!Matrix.HTTP) {
                peer.listen();
                Check.equal(Back.invoke(device, "echo", Back.object("a", 1), 60).status(), 200, "a method of " + device);
                peer.report("certified", true);
                Check.check(Back.reported(device, "certified").getAsBoolean(), "a report of " + device);
            }
        }
    }

    /** A certificate with its key; whom to trust is left to what the machine is told. */
    private static SSLContext context(Path chain, Path key, String algorithm) throws Exception {
        Certificate[] certificates;
        try (var in = Files.newInputStream(chain)) {
            certificates = CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(Certificate[]::new);
        }
        String base64 = Files.readString(key).replaceAll("-----[A-Z ]+-----|\\s", "");
        PrivateKey secret = KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64)));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("device", secret, new char[0], certificates);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, new char[0]);
        SSLContext context = SSLContext.getInstance("TLSv1.2");
        context.init(keys.getKeyManagers(), null, null);
        return context;
    }
}
