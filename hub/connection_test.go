package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func (f *fixture) state(id iothub.ID) iothub.ConnectionInfo {
	f.t.Helper()
	i, err := f.GetIdentity(context.Background(), id)
	if err != nil {
		f.t.Fatalf("get %q: %v", id, err)
	}
	return i.Connection
}

func TestNewcomerEvicts(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	f.send(id, "1", iothub.AckNone)
	old, oldClient := f.connect(id, "mqtt")
	old.EnableC2D(true)
	d, _ := old.ReceiveC2D()
	c, client := f.connect(id, "mqtt")
	wantCode(t, <-oldClient.gone, iothub.CodeConnectionForcefullyClosedOnNewConnection)
	if _, ok := old.ReceiveC2D(); ok {
		t.Error("the evicted connection still receives")
	}
	wantCode(t, f.CompleteC2D(t.Context(), id, d.LockToken), iothub.CodeDeviceMessageLockLost)
	old.EnableC2D(true)
	old.EnableMethods(true)
	old.EnableDesired(true)
	old.Close()
	old.Close()
	if !f.state(id).Connected || f.ConnectedDevices() != 1 {
		t.Error("closing the evicted connection ended the new one")
	}
	c.EnableC2D(true)
	if d, ok := c.ReceiveC2D(); !ok || d.Message.System.MessageID != "1" {
		t.Error("the newcomer does not get the message")
	}
	c.Close()
	if f.state(id).Connected || f.ConnectedDevices() != 0 || len(client.gone) != 0 {
		t.Error("still connected")
	}
	_, err := old.Twin(t.Context())
	wantCode(t, err, iothub.CodeDeviceConnectionClosedRemotely)
}

func TestConnectionState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id, module := f.device("d"), f.device("d/m")
		if s := f.state(id); s.Connected || !s.StateUpdatedTime.IsZero() || !s.LastActivityTime.IsZero() {
			t.Errorf("before: %+v", s)
		}
		c, _ := f.connect(id, "mqtt")
		f.connect(module, "amqp")
		at := time.Now()
		time.Sleep(time.Minute)
		c.SendTelemetry(t.Context(), iothub.Telemetry{}, func(error) {})
		synctest.Wait()
		if s := f.state(id); !s.Connected || !s.StateUpdatedTime.Equal(at) || !s.LastActivityTime.Equal(time.Now()) {
			t.Errorf("connected: %+v", s)
		}
		if n := f.ConnectedDevices(); n != 1 {
			t.Errorf("%d devices connected, want 1 without the module", n)
		}
		if all := f.Connections(); len(all) != 2 || all[0].ID != id || all[1].Protocol != "amqp" {
			t.Errorf("connections %+v", all)
		}
		time.Sleep(time.Minute)
		c.Close()
		if s := f.state(id); s.Connected || !s.StateUpdatedTime.Equal(time.Now()) {
			t.Errorf("after: %+v", s)
		}
	})
}

func TestConnectRefuses(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	_, err := f.Connect(t.Context(), iothub.ID{DeviceID: "x"}, options("mqtt"), newFakeClient())
	wantCode(t, err, iothub.CodeDeviceNotFound)
	_, err = f.Connect(t.Context(), id, ConnectionOptions{}, newFakeClient())
	wantCode(t, err, iothub.CodeIotHubUnauthorizedAccess)
	if f.ConnectedDevices() != 0 {
		t.Error("connected all the same")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = f.Connect(t.Context(), id, options("mqtt"), newFakeClient())
	wantCode(t, err, iothub.CodeServiceUnavailable)
}

func TestRegistryChangesDisconnect(t *testing.T) {
	key := func(b byte) *iothub.AuthenticationRequest {
		k := fmt.Sprintf("%c2V5MDEyMzQ1Njc4OWFiY2RlZg==", b)
		return &iothub.AuthenticationRequest{Type: iothub.AuthSAS, SymmetricKey: &iothub.SymmetricKey{PrimaryKey: k, SecondaryKey: k}}
	}
	f := newFixture(t)
	for name, test := range map[string]struct {
		change func(id iothub.ID) error
		want   iothub.Code
	}{
		"unchanged": {func(id iothub.ID) error {
			_, err := f.ReplaceIdentity(t.Context(), id, iothub.IdentityRequest{Authentication: key('a')}, "*")
			return err
		}, 0},
		"key": {func(id iothub.ID) error {
			_, err := f.ReplaceIdentity(t.Context(), id, iothub.IdentityRequest{Authentication: key('b')}, "*")
			return err
		}, iothub.CodeIotHubUnauthorizedAccess},
		"disabled": {func(id iothub.ID) error {
			_, err := f.ReplaceIdentity(t.Context(), id, iothub.IdentityRequest{Authentication: key('a'), Status: iothub.StatusDisabled}, "*")
			return err
		}, iothub.CodeDeviceDisabled},
		"deleted": {func(id iothub.ID) error { return f.DeleteIdentity(t.Context(), id, "*") }, iothub.CodeDeviceNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			id := iothub.ID{DeviceID: name}
			if _, err := f.CreateIdentity(t.Context(), id, iothub.IdentityRequest{Authentication: key('a')}); err != nil {
				t.Fatal(err)
			}
			module, other := f.device(name+"/m"), f.device(name+"-other")
			_, client := f.connect(id, "mqtt")
			_, moduleClient := f.connect(module, "mqtt")
			_, otherClient := f.connect(other, "mqtt")
			if err := test.change(id); err != nil {
				t.Fatal(err)
			}
			for _, c := range []*fakeClient{client, moduleClient} {
				var got iothub.Code
				if len(c.gone) > 0 {
					got = (<-c.gone).Code
				}
				if got != test.want {
					t.Errorf("disconnected with %v, want %v", got, test.want)
				}
			}
			if len(otherClient.gone) != 0 {
				t.Error("another device was disconnected")
			}
		})
	}
}

func TestModuleDeletionLeavesTheDevice(t *testing.T) {
	f := newFixture(t)
	id, module := f.device("d"), f.device("d/m")
	_, client := f.connect(id, "mqtt")
	_, moduleClient := f.connect(module, "mqtt")
	if err := f.DeleteIdentity(t.Context(), module, "*"); err != nil {
		t.Fatal(err)
	}
	if len(client.gone) != 0 || len(moduleClient.gone) != 1 {
		t.Errorf("device %d, module %d", len(client.gone), len(moduleClient.gone))
	}
}

func TestTokenExpiryDisconnects(t *testing.T) {
	clock := newMovableClock()
	f := newFixture(t, func(o *Options) { o.Now = clock.now })
	id := f.device("d")
	o := options("amqp")
	o.Grant.Expiry = clock.now().Add(time.Hour)
	client := newFakeClient()
	c, err := f.Connect(t.Context(), id, o, client)
	if err != nil {
		t.Fatal(err)
	}
	f.Sweep(clock.advance(59 * time.Minute))
	o.Grant.Expiry = clock.now().Add(time.Hour)
	c.Renew(o.Grant)
	f.Sweep(clock.advance(time.Hour - time.Nanosecond))
	if len(client.gone) != 0 {
		t.Error("disconnected in spite of a renewed token")
	}
	f.Sweep(clock.advance(time.Nanosecond))
	wantCode(t, <-client.gone, iothub.CodeIotHubUnauthorized)
	if f.ConnectedDevices() != 0 {
		t.Error("still connected")
	}
}

// TestTokenGrace: a connection outlives its token by the grace, a new one is refused; renewal in time counts from the new token.
func TestTokenGrace(t *testing.T) {
	clock := newMovableClock()
	f := newFixture(t, func(o *Options) { o.Now, o.TokenGrace = clock.now, 10*time.Minute })
	id := f.device("d")
	o := options("amqp")
	o.Grant.Expiry = clock.now().Add(time.Hour)
	client := newFakeClient()
	c, err := f.Connect(t.Context(), id, o, client)
	if err != nil {
		t.Fatal(err)
	}
	f.Sweep(clock.advance(70*time.Minute - time.Nanosecond))
	sent := make(chan error, 1)
	c.SendTelemetry(t.Context(), iothub.Telemetry{}, func(err error) { sent <- err })
	if err := <-sent; err != nil || len(client.gone) != 0 {
		t.Errorf("within the grace: %v", err)
	}
	_, err = f.Connect(t.Context(), id, o, newFakeClient())
	wantCode(t, err, iothub.CodeIotHubUnauthorizedAccess)
	o.Grant.Expiry = clock.now().Add(time.Hour)
	c.Renew(o.Grant)
	f.Sweep(clock.advance(70*time.Minute - time.Nanosecond))
	if len(client.gone) != 0 {
		t.Error("disconnected in spite of a renewed token")
	}
	f.Sweep(clock.advance(time.Nanosecond))
	wantCode(t, <-client.gone, iothub.CodeIotHubUnauthorized)
	c.SendTelemetry(t.Context(), iothub.Telemetry{}, func(err error) { sent <- err })
	wantCode(t, <-sent, iothub.CodeDeviceConnectionClosedRemotely)
	c.SendWill(t.Context(), iothub.Telemetry{}, func(err error) { sent <- err })
	if err := <-sent; err != nil {
		t.Errorf("the will: %v", err)
	}
	// A connection that ended otherwise has none left.
	o.Grant.Expiry = clock.now().Add(time.Hour)
	if c, err = f.Connect(t.Context(), id, o, newFakeClient()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.SendWill(t.Context(), iothub.Telemetry{}, func(err error) { sent <- err })
	wantCode(t, <-sent, iothub.CodeDeviceConnectionClosedRemotely)
}

// Many clients with one identity: at any time one holds it, every other was
// told why, and no message goes to two of them.
func TestRacingConnections(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	const messages = 20
	for i := range messages {
		f.send(id, fmt.Sprint(i), iothub.AckNone)
	}
	var (
		mu   sync.Mutex
		done = map[string]int{}
		all  sync.WaitGroup
	)
	clients := make([]*fakeClient, 8)
	for i := range clients {
		clients[i] = newFakeClient()
		all.Go(func() {
			c, err := f.Connect(context.Background(), id, options("mqtt"), clients[i])
			if err != nil {
				t.Error(err)
				return
			}
			c.EnableC2D(true)
			for range 5 {
				d, ok := c.ReceiveC2D()
				if !ok {
					return
				}
				if err := f.CompleteC2D(context.Background(), id, d.LockToken); err == nil {
					mu.Lock()
					done[d.Message.System.MessageID]++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	evicted := 0
	for _, c := range clients {
		evicted += len(c.gone)
	}
	if evicted != len(clients)-1 || f.ConnectedDevices() != 1 {
		t.Errorf("%d evicted, %d connected", evicted, f.ConnectedDevices())
	}
	for id, n := range done {
		if n != 1 {
			t.Errorf("message %s was completed %d times", id, n)
		}
	}
	if n := f.count(id); n != messages-len(done) {
		t.Errorf("%d wait, %d of %d are completed", n, len(done), messages)
	}
}

// Connections race with the deletion of their identity: none survives it.
func TestRacingDeletion(t *testing.T) {
	for range 50 {
		f := startFixture(t)
		id := f.device("d")
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				_, err := f.Connect(context.Background(), id, options("mqtt"), newFakeClient())
				if err != nil {
					wantCode(t, err, iothub.CodeDeviceNotFound)
				}
			})
		}
		all.Go(func() {
			if err := f.DeleteIdentity(context.Background(), id, "*"); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if n := f.ConnectedDevices(); n != 0 {
			t.Fatalf("%d connected to a deleted device", n)
		}
		if p := f.find(id); p != nil && p.conn != nil {
			t.Fatal("a peer keeps a connection")
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
