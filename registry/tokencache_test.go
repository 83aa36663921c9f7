package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// A token that was verified before still ends, and still opens only what it did.
func TestCachedTokens(t *testing.T) {
	r, c := newRegistry(t)
	ctx := t.Context()
	key := r.Policies()[0].PrimaryKey
	sign := func(resource, policy, key string) string {
		token, err := SignSASToken(resource, policy, key, c.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	token := sign("localhost/devices/a", "iothubowner", key)
	first, err := r.CheckToken(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.CheckToken(ctx, token)
	if err != nil || again != first || again.Resource != "devices/a" {
		t.Errorf("%+v, %v, want %+v", again, err, first)
	}
	if len(r.access.now.Load().tokens.grants) != 1 {
		t.Errorf("%d tokens are remembered", len(r.access.now.Load().tokens.grants))
	}
	_, err = r.CheckToken(ctx, token+"x")
	wantCode(t, "another text", err, iothub.CodeIotHubUnauthorizedAccess)
	c.Advance(time.Minute)
	_, err = r.CheckToken(ctx, token)
	wantCode(t, "after its expiry", err, iothub.CodeIotHubUnauthorizedAccess)

	// The key of a device may change under its token.
	createDevice(t, r, "d")
	d, err := r.Get(ctx, iothub.ID{DeviceID: "d"})
	if err != nil {
		t.Fatal(err)
	}
	own := sign("localhost/devices/d", "", d.Authentication.SymmetricKey.PrimaryKey)
	if _, err := r.CheckToken(ctx, own); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Replace(ctx, d.ID, iothub.IdentityRequest{}, "*"); err != nil {
		t.Fatal(err)
	}
	_, err = r.CheckToken(ctx, own)
	wantCode(t, "after the keys changed", err, iothub.CodeIotHubUnauthorizedAccess)

	// There are only so many.
	for i := range 2*maxCachedTokens + 5 {
		if _, err := r.CheckToken(ctx, sign(fmt.Sprint("localhost/devices/", i), "iothubowner", key)); err != nil {
			t.Fatal(err)
		}
		if n := len(r.access.now.Load().tokens.grants); n > maxCachedTokens {
			t.Fatalf("%d tokens are remembered", n)
		}
	}
}
