package registry

import (
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// BenchmarkCheckDeviceToken is the check of a token that a device signed with its own key.
func BenchmarkCheckDeviceToken(b *testing.B) {
	r, c := newRegistry(b)
	id := iothub.ID{DeviceID: "dev-1"}
	identity, err := r.Create(b.Context(), id, iothub.IdentityRequest{DeviceID: id.DeviceID})
	if err != nil {
		b.Fatal(err)
	}
	token, err := SignSASToken("localhost/devices/dev-1", "", identity.Authentication.SymmetricKey.PrimaryKey, c.Now().Add(time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		grant, err := r.CheckToken(b.Context(), token)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Admit(b.Context(), id, grant); err != nil {
			b.Fatal(err)
		}
	}
}
