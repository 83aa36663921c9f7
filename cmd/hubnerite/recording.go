package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// recordingVersion is the version of the file format that this program writes, and the highest that it reads.
const recordingVersion = 1

// recordingHeader is the first line of a recording; the others are moments.
type recordingHeader struct {
	Hubnerite string    `json:"hubnerite"` // "recording"
	Version   int       `json:"version"`
	Hub       string    `json:"hub"`     // host name of the hub
	Started   time.Time `json:"started"` // by the clock of the machine
}

// moment is something that happened, and how long after the start of the recording in real time: the clock of the hub may
// stand still, or leap. The activity is as the management API has it.
type moment struct {
	OffsetMs int64           `json:"offsetMs"`
	Activity json.RawMessage `json:"activity"`
}

// activity is what a replay reads of an activity of the management API.
type activity struct {
	Time                                    time.Time
	Kind, Event, Device, Module             string
	Ack                                     string
	ExpiryTime                              *time.Time
	SystemProperties, ApplicationProperties map[string]string
	Body, BodyEncoding                      string
	Method, RequestID                       string
	Payload, Response, Change               json.RawMessage
	Status                                  int
	offset                                  time.Duration
}

func (a *activity) id() iothub.ID { return iothub.ID{DeviceID: a.Device, ModuleID: a.Module} }

// readRecording reads a recording. Errors name the line.
func readRecording(r io.Reader) (recordingHeader, []activity, error) {
	var header recordingHeader
	var all []activity
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		text := lines.Bytes()
		switch {
		case number == 1:
			if err := json.Unmarshal(text, &header); err != nil || header.Hubnerite != "recording" {
				return header, nil, errors.New("line 1: this is no recording of hubnerite record")
			}
			if header.Version < 1 || header.Version > recordingVersion {
				return header, nil, fmt.Errorf("line 1: the recording has version %d, of another hubnerite; this one reads up to %d", header.Version, recordingVersion)
			}
			continue
		case len(text) == 0:
			continue
		}
		var m moment
		var a activity
		err := json.Unmarshal(text, &m)
		if err == nil {
			err = json.Unmarshal(m.Activity, &a)
		}
		switch {
		case err != nil:
			return header, nil, fmt.Errorf("line %d: %w", number, err)
		case a.Kind == "" || a.Event == "":
			return header, nil, fmt.Errorf("line %d: an activity needs kind and event", number)
		case m.OffsetMs < 0:
			return header, nil, fmt.Errorf("line %d: the offset is negative", number)
		}
		a.offset = time.Duration(m.OffsetMs) * time.Millisecond
		all = append(all, a)
	}
	if err := lines.Err(); err != nil {
		return header, nil, fmt.Errorf("line %d: %w", number+1, err)
	}
	if number == 0 {
		return header, nil, errors.New("the recording is empty")
	}
	return header, all, nil
}
