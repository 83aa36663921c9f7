package iothub

import (
	"testing"
	"time"
)

func TestGrantCovers(t *testing.T) {
	for _, c := range []struct {
		resource, path string
		want           bool
	}{
		{"", "devices/d", true},
		{"devices", "devices/d", true},
		{"devices/d", "devices/d", true},
		{"devices/d", "/devices/d/", true},
		{"devices/d", "devices/d/modules/m", true},
		{"devices/d", "devices/d2", false},
		{"devices/d/modules/m", "devices/d", false},
		{"devices/D", "devices/d", false},
		{"devices/d", "", false},
	} {
		if got := (Grant{Resource: c.resource}).Covers(c.path); got != c.want {
			t.Errorf("%q covers %q: %v", c.resource, c.path, got)
		}
	}
}

func TestGrantAllows(t *testing.T) {
	now := time.Unix(1000, 0)
	g := Grant{Rights: ServiceConnect, Expiry: now.Add(time.Second)}
	if err := g.Allows(ServiceConnect|RegistryRead, "", now); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"zero grant":  Grant{}.Allows(ServiceConnect, "", now),
		"other right": g.Allows(RegistryWrite, "", now),
		"at expiry":   g.Allows(ServiceConnect, "", g.Expiry),
		"other path":  Grant{Rights: DeviceConnect, Resource: "devices/a"}.Allows(DeviceConnect, "devices/b", now),
	} {
		if ErrorCode(err) != CodeIotHubUnauthorizedAccess {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Grant{Rights: DeviceConnect}).Allows(DeviceConnect, "", now); err != nil {
		t.Errorf("a grant without expiry: %v", err)
	}
}

func TestAccessRightsString(t *testing.T) {
	if got := (RegistryRead | DeviceConnect).String(); got != "RegistryRead, DeviceConnect" {
		t.Error(got)
	}
}
