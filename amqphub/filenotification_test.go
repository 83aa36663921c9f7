package amqphub

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
)

// shelf is a storage account that has every blob, with 7 bytes.
type shelf struct{}

func (shelf) Grant(_ context.Context, blobName string, _ time.Time, _ string) (iothub.FileUploadAddress, error) {
	return iothub.FileUploadAddress{URI: "https://s/c/" + blobName}, nil
}

func (shelf) Blob(context.Context, string) (int64, time.Time, error) { return 7, time.Now(), nil }

// uploaded makes a notification.
func (r *rig) uploaded(name string) {
	r.t.Helper()
	u, err := r.hub.StartFileUpload(r.ctx(), "d", name, "hub1")
	if err != nil {
		r.t.Fatal(err)
	}
	success := true
	if err := r.hub.CompleteFileUpload(r.ctx(), "d", iothub.FileUploadCompletion{CorrelationID: u.CorrelationID, IsSuccess: &success}); err != nil {
		r.t.Fatal(err)
	}
}

func TestFileNotifications(t *testing.T) {
	r := newRig(t)
	for _, policy := range []string{"device", "registryReadWrite"} {
		_, err := r.plain(policy).NewReceiver(r.ctx(), "/messages/serviceBound/filenotifications", nil)
		wantCondition(t, policy, err, "amqp:unauthorized-access")
	}
	open := func(address string) *goamqp.Receiver {
		t.Helper()
		rcv, err := r.plain("service").NewReceiver(r.ctx(), address, &goamqp.ReceiverOptions{Credit: 5})
		if err != nil {
			t.Fatal(err)
		}
		return rcv
	}
	rcv := open("amqps://hub1.azure-devices.net/messages/servicebound/filenotifications")
	receive := func(name string, count uint8) *goamqp.Message {
		t.Helper()
		m, err := rcv.Receive(r.ctx(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var n iothub.FileNotification
		if err := json.Unmarshal(m.GetData(), &n); err != nil || n.BlobName != "d/"+name || n.DeviceID != "d" || n.BlobSizeInBytes != 7 || n.BlobURI != "https://s/c/d/"+name {
			t.Errorf("%s, %v", m.GetData(), err)
		}
		if *m.Properties.ContentType != iothub.FileNotificationContentType || *m.Properties.To != "/messages/serviceBound/filenotifications" || m.Annotations["iothub-deliverycount"] != count {
			t.Errorf("%+v %v", m.Properties, m.Annotations)
		}
		return m
	}
	r.uploaded("a")
	if err := rcv.ReleaseMessage(r.ctx(), receive("a", 0)); err != nil {
		t.Fatal(err)
	}
	if err := rcv.ModifyMessage(r.ctx(), receive("a", 1), nil); err != nil {
		t.Fatal(err)
	}
	if err := rcv.AcceptMessage(r.ctx(), receive("a", 2)); err != nil {
		t.Fatal(err)
	}
	// What a link that ends has not settled goes to the next, with its count.
	r.uploaded("b")
	receive("b", 0)
	if err := rcv.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	rcv = open("/messages/serviceBound/FileUploadNotifications") // as the documentation has it
	receive("b", 0)
}
