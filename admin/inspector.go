package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/inspect"
)

// InspectorState says whether connections are looked at, and lists them.
type InspectorState struct {
	Watching    bool                  `json:"watching" doc:"Whether what goes over connections is recorded."`
	Connections []InspectedConnection `json:"connections" nullable:"false" doc:"The newest first; those that have ended are remembered for a while."`
}

// InspectedConnection is a connection of a device, a back end or another client.
type InspectedConnection struct {
	ID            string     `json:"id"`
	Protocol      string     `json:"protocol" enum:"mqtt,mqtt-ws,amqp,amqp-ws,https"`
	Label         string     `json:"label,omitempty" doc:"The device or client ID, once something recorded told it."`
	RemoteAddress string     `json:"remoteAddress"`
	Opened        time.Time  `json:"opened"`
	Closed        *time.Time `json:"closed,omitempty"`
	BytesIn       int64      `json:"bytesIn" doc:"From the client."`
	BytesOut      int64      `json:"bytesOut"`
	Frames        int64      `json:"frames" doc:"How many were recorded; the last 2,000 are kept, of all connections 32 MiB."`
}

// InspectedFrame is an MQTT packet, an AMQP frame, an HTTP request or its answer.
type InspectedFrame struct {
	Number    int64     `json:"number"`
	Time      time.Time `json:"time" doc:"Real time."`
	Direction string    `json:"direction" enum:"in,out" doc:"As the emulator sees it."`
	Type      string    `json:"type" example:"PUBLISH"`
	Summary   string    `json:"summary,omitempty"`
	Size      int       `json:"size" doc:"Bytes."`
	Truncated bool      `json:"truncated,omitempty" doc:"Of a frame longer than 16 KiB only the beginning is kept."`
	Fields    any       `json:"fields,omitempty" doc:"What is in it, without signatures."`
}

type (
	inspectorOutput struct{ Body InspectorState }
	framesOutput    struct {
		Body struct {
			Connection InspectedConnection `json:"connection"`
			Frames     []InspectedFrame    `json:"frames" nullable:"false"`
		}
	}
	watchBody struct {
		Body struct {
			Watching bool `json:"watching"`
		}
	}
	// FramesQuery is exported because huma passes over embedded types that are not.
	FramesQuery struct {
		ID    string `path:"id"`
		Since int64  `query:"since" default:"0" minimum:"0" doc:"Only frames after this number."`
		Limit int    `query:"limit" default:"500" minimum:"1" maximum:"2000"`
	}
)

func (s *server) registerInspector() {
	huma.Register(s.api, huma.Operation{
		OperationID: "inspector", Method: http.MethodGet, Path: "/inspector", Summary: "The connections, of all hubs", Tags: []string{"inspector"},
	}, func(context.Context, *struct{}) (*inspectorOutput, error) { return s.inspected(), nil })
	huma.Register(s.api, huma.Operation{
		OperationID: "watchConnections", Method: http.MethodPut, Path: "/inspector", Summary: "Begin or stop to record what goes over connections", Tags: []string{"inspector"},
		Description: "A connection that is there already is followed from the next packet on. Beginning forgets what was recorded before.",
	}, func(_ context.Context, in *watchBody) (*inspectorOutput, error) {
		s.Inspector.Watch(in.Body.Watching)
		return s.inspected(), nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "inspectedFrames", Method: http.MethodGet, Path: "/inspector/{id}", Summary: "What went over a connection, decoded", Tags: []string{"inspector"},
	}, func(_ context.Context, in *FramesQuery) (*framesOutput, error) {
		c, frames, ok := s.Inspector.Frames(in.ID, in.Since, in.Limit)
		if !ok {
			return nil, huma.Error404NotFound("There is no such connection, or it is forgotten.")
		}
		out := new(framesOutput)
		out.Body.Connection, out.Body.Frames = inspectedConnection(&c), make([]InspectedFrame, 0, len(frames))
		for _, f := range frames {
			out.Body.Frames = append(out.Body.Frames, InspectedFrame{
				Number: f.Number, Time: f.Time.UTC(), Direction: string(f.Direction), Type: f.Type, Summary: f.Summary, Size: f.Size,
				Truncated: f.Truncated, Fields: f.Fields,
			})
		}
		return out, nil
	})
}

// registerPcap offers what was recorded for Wireshark.
func (s *server) registerPcap() {
	const contentType = "application/vnd.tcpdump.pcap"
	huma.Register(s.api, huma.Operation{
		OperationID: "inspectedPcap", Method: http.MethodGet, Path: "/inspector/{id}/pcap", Summary: "What went over a connection, as a capture file", Tags: []string{"inspector"},
		Description: "For Wireshark and tshark: what was said inside of TLS and WebSockets, as TCP to the plain port of the protocol. Signatures and passwords are crossed out.",
		Errors:      []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{"200": {
			Description: "OK", Content: map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}, func(_ context.Context, in *struct {
		ID string `path:"id"`
	},
	) (*fileOutput, error) {
		file, ok := s.Inspector.Pcap(in.ID)
		if !ok {
			return nil, huma.Error404NotFound("There is no such connection, or it is forgotten.")
		}
		return &fileOutput{contentType, `attachment; filename="` + in.ID + `.pcap"`, file}, nil
	})
}

type fileOutput struct {
	ContentType        string `header:"Content-Type"`
	ContentDisposition string `header:"Content-Disposition"`
	Body               []byte
}

func (s *server) inspected() *inspectorOutput {
	out := &inspectorOutput{InspectorState{Watching: s.Inspector.Watching(), Connections: []InspectedConnection{}}}
	for _, c := range s.Inspector.Connections() {
		out.Body.Connections = append(out.Body.Connections, inspectedConnection(&c))
	}
	return out
}

func inspectedConnection(c *inspect.Connection) InspectedConnection {
	out := InspectedConnection{
		ID: c.ID, Protocol: c.Protocol, Label: c.Label, RemoteAddress: c.RemoteAddress, Opened: c.Opened.UTC(), BytesIn: c.BytesIn, BytesOut: c.BytesOut, Frames: c.Frames,
	}
	if !c.Closed.IsZero() {
		at := c.Closed.UTC()
		out.Closed = &at
	}
	return out
}
