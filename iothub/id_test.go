package iothub

import (
	"strings"
	"testing"
)

func TestDeviceIDSyntax(t *testing.T) {
	for _, ok := range []string{"a", "pump-7", "A:.+%_#*?!(),=@;$'z", strings.Repeat("x", 128)} {
		if err := ValidateDeviceID(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "a b", "a/b", "ä", "a\x00", "a&b", "a\"b", "a<b", strings.Repeat("x", 129)} {
		if err := ValidateDeviceID(bad); ErrorCode(err) != CodeArgumentInvalid {
			t.Errorf("%q: got %v, want ArgumentInvalid", bad, err)
		}
	}
}

func TestParseID(t *testing.T) {
	for text, want := range map[string]ID{
		"dev":          {DeviceID: "dev"},
		"dev/mod":      {DeviceID: "dev", ModuleID: "mod"},
		"dev/$edgeHub": {DeviceID: "dev", ModuleID: "$edgeHub"},
	} {
		got, err := ParseID(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "/", "dev/", "/mod", "a/b/c"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestResourcePath(t *testing.T) {
	if got := (ID{DeviceID: "d", ModuleID: "m"}).ResourcePath(); got != "devices/d/modules/m" {
		t.Error(got)
	}
	if got := (ID{DeviceID: "d"}).ResourcePath(); got != "devices/d" {
		t.Error(got)
	}
}
