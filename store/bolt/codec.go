package bolt

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// A record's key is "device", 0x00, "module" (empty for the device itself). No
// ID contains 0x00 and every character of an ID is above it, so that the order
// of the keys is that of the contract.
func recordKey(id iothub.ID) []byte {
	return []byte(id.DeviceID + "\x00" + id.ModuleID)
}

func keyID(key []byte) iothub.ID {
	device, module, _ := strings.Cut(string(key), "\x00")
	return iothub.ID{DeviceID: device, ModuleID: module}
}

// textKey is the key of an ID in its text form, for resume keys and queue names.
func textKey(text string) []byte {
	device, module, _ := strings.Cut(text, "/")
	return recordKey(iothub.ID{DeviceID: device, ModuleID: module})
}

// A record's value is a format byte, a byte of flags, its revision (8 bytes,
// big-endian) and a JSON document, so that a write need not decode the old one.
const (
	recordFormat = 1
	flagDisabled = 1
	recordHeader = 10
)

func encodeRecord(r store.Record) ([]byte, error) {
	flags := byte(0)
	if r.Identity.Status == iothub.StatusDisabled {
		flags |= flagDisabled
	}
	out := append(make([]byte, 0, 1536), recordFormat, flags)
	out = binary.BigEndian.AppendUint64(out, r.Revision)
	out = r.Identity.AppendJSON(append(out, `{"identity":`...))
	out, err := r.Twin.AppendJSON(append(out, `,"twin":`...))
	if err != nil {
		return nil, fmt.Errorf("bolt: encode %s: %w", r.Identity.ID, err)
	}
	if r.MQTTSession != nil {
		session, err := json.Marshal(r.MQTTSession)
		if err != nil {
			return nil, fmt.Errorf("bolt: encode %s: %w", r.Identity.ID, err)
		}
		out = append(append(out, `,"mqttSession":`...), session...)
	}
	return append(out, '}'), nil
}

func decodeRecord(value []byte) (store.Record, error) {
	if len(value) < recordHeader || value[0] != recordFormat {
		return store.Record{}, errors.New("bolt: a stored record is damaged")
	}
	d, err := decodeDocumentOf(value[recordHeader:])
	if err != nil {
		return store.Record{}, fmt.Errorf("bolt: a stored record is damaged: %w", err)
	}
	d.Revision = revision(value)
	return d, nil
}

// decodeDocumentOf reads what encodeRecord wrote behind the header.
func decodeDocumentOf(text []byte) (store.Record, error) {
	v, err := iothub.ParseStored(text)
	if err != nil {
		return store.Record{}, err
	}
	members, _ := v.(map[string]any)
	identity, _ := members["identity"].(map[string]any)
	twin, _ := members["twin"].(map[string]any)
	if identity == nil || twin == nil {
		return store.Record{}, errors.New("it is not a record")
	}
	var r store.Record
	if r.Identity, err = iothub.IdentityOfStored(identity); err != nil {
		return store.Record{}, err
	}
	if r.Twin, err = iothub.TwinOfStored(twin); err != nil {
		return store.Record{}, err
	}
	if session, ok := members["mqttSession"].(map[string]any); ok {
		r.MQTTSession = make(map[string]byte, len(session))
		for topic, qos := range session {
			text, _ := qos.(json.Number)
			n, err := strconv.ParseUint(string(text), 10, 8)
			if err != nil {
				return store.Record{}, err
			}
			r.MQTTSession[topic] = byte(n)
		}
	}
	return r, nil
}

// revision returns the revision in an encoded record, 0 for none.
func revision(value []byte) uint64 {
	if len(value) < recordHeader {
		return 0
	}
	return binary.BigEndian.Uint64(value[2:])
}

// count adds an encoded record to c, or takes it away.
func count(c *store.Counts, key, value []byte, by int) {
	switch {
	case len(value) < recordHeader:
	case key[len(key)-1] != 0:
		c.Modules += by
	default:
		c.Devices += by
		if value[1]&flagDisabled != 0 {
			c.DisabledDevices += by
		}
	}
}

func recount(tx *bbolt.Tx) (store.Counts, error) {
	var c store.Counts
	err := tx.Bucket([]byte(bucketRecords)).ForEach(func(k, v []byte) error {
		count(&c, k, v, 1)
		return nil
	})
	return c, err
}

func encodeCounts(c store.Counts) []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(c.Devices))
	out = binary.BigEndian.AppendUint64(out, uint64(c.DisabledDevices))
	return binary.BigEndian.AppendUint64(out, uint64(c.Modules))
}

func decodeCounts(v []byte) (store.Counts, bool) {
	if len(v) != 24 {
		return store.Counts{}, false
	}
	return store.Counts{
		Devices:         int(binary.BigEndian.Uint64(v)),
		DisabledDevices: int(binary.BigEndian.Uint64(v[8:])),
		Modules:         int(binary.BigEndian.Uint64(v[16:])),
	}, true
}
