package emulator_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/registry"
)

// TestTokenGrace: the setting reaches the connections: one whose token expired less than the grace ago stays, one whose token
// expired before that ends.
func TestTokenGrace(t *testing.T) {
	start := time.Now()
	var passed atomic.Int64
	e := emulatortest.Run(t, emulatortest.WithDevices("young", "old"), emulatortest.WithConfig(func(c *emulator.Config) {
		c.PlainMQTT, c.TokenGrace = true, 10*time.Minute
		c.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	}))
	connect := func(device string, life time.Duration) *mqtttest.Client {
		t.Helper()
		var key string
		for _, p := range registry.DefaultPolicies() {
			if p.Name == "device" {
				key = p.PrimaryKey
			}
		}
		token, err := registry.SignSASToken("localhost/devices/"+device, "device", key, start.Add(life))
		if err != nil {
			t.Fatal(err)
		}
		nc, err := net.Dial("tcp", e.Addr("mqtt-plain").String())
		if err != nil {
			t.Fatal(err)
		}
		c := mqtttest.New(t, nc)
		if _, code := c.Connect(mqtttest.ConnectOptions{
			ClientID: device, UserName: "localhost/" + device + "/?api-version=2021-04-12", Password: token, KeepAlive: 60,
		}); code != 0 {
			t.Fatalf("%s: CONNACK %d", device, code)
		}
		return c
	}
	young, old := connect("young", time.Hour), connect("old", 30*time.Minute)
	passed.Store(int64(65 * time.Minute))
	old.ExpectClose()
	young.Send([]byte{mqtttest.Pingreq << 4, 0})
	young.Expect(mqtttest.Pingresp)
	passed.Store(int64(71 * time.Minute))
	young.ExpectClose()
}
