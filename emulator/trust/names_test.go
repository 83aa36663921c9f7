package trust

import "testing"

func TestNamesCover(t *testing.T) {
	names := ServerNames("hub.localhost", "10.0.0.7", "Other:8443")
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "::1": true, "10.0.0.7": true, "hub.localhost": true, "other": true,
		"my.azure-devices.net": true, "My.Azure-Devices.Net": true, "ns.servicebus.windows.net": true,
		"example.org": false, "azure-devices.net": false, "a.b.azure-devices.net": false, "10.0.0.8": false, "localhost.example.org": false,
		"": false, ".azure-devices.net": false, "a b.azure-devices.net": false, "-a.azure-devices.net": false,
		"hub-1.azure-devices.net": true, "azure-devices.net.": false,
	} {
		if got := names.Cover(host); got != want {
			t.Errorf("Cover(%q) = %v, want %v", host, got, want)
		}
	}
}
