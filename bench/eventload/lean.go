package main

import (
	"context"
	"fmt"
	"net"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// leanReader takes events off a connection and looks at no more of them than
// that they are there: what it cannot keep up with, the emulator cannot.
type leanReader struct {
	nc     net.Conn
	rd     *wire.Reader
	credit uint32
	// frames and events since the link was attached, and the credit given.
	frames, events, given uint32
}

func dialLean(ctx context.Context, s *server, source string, credit int) (*leanReader, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", s.amqp)
	if err != nil {
		return nil, err
	}
	r := &leanReader{nc: nc, rd: wire.NewReader(nc, 1<<20), credit: uint32(credit)}
	var script []byte
	add := func(p wire.Performative) {
		if err == nil {
			script, err = wire.AppendFrame(script, 0, p)
		}
	}
	// A client may send all of this before it has heard anything.
	script = wire.AppendProtocolHeader(script, wire.ProtocolSASL)
	add(&wire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00service@sas.root." + s.entity + "\x00" + s.service)})
	script = wire.AppendProtocolHeader(script, wire.ProtocolAMQP)
	add(&wire.Open{ContainerID: "lean", HostName: s.host, MaxFrameSize: 65536})
	add(&wire.Begin{IncomingWindow: 1 << 20, OutgoingWindow: 100, HandleMax: 10})
	filter := wire.Described{Descriptor: uint64(0x468C00000004), Value: latestSelector}
	add(&wire.Attach{
		Name: "lean", Role: wire.RoleReceiver, SenderSettleMode: wire.SenderSettled,
		Source: &wire.Source{Address: source, Filter: wire.Map{}.Add(wire.Symbol(selectorFilter), filter)},
		Target: &wire.Target{Address: "lean"},
	})
	if err == nil {
		_, err = nc.Write(script)
	}
	for range 2 {
		if err == nil {
			_, err = r.headerAndFrames()
		}
	}
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("lean reader: %w", err)
	}
	return r, r.grant()
}

// headerAndFrames reads a protocol header and the frames up to the SASL outcome
// or the answer to attach.
func (r *leanReader) headerAndFrames() (wire.Code, error) {
	if _, err := r.rd.ReadProtocolHeader(); err != nil {
		return 0, err
	}
	for {
		code, err := r.next()
		if err != nil || code == wire.CodeSASLOutcome || code == wire.CodeAttach {
			return code, err
		}
		if code >= wire.CodeDetach && code <= wire.CodeClose {
			return code, fmt.Errorf("refused with %v", code)
		}
	}
}

func (r *leanReader) next() (wire.Code, error) {
	for {
		f, err := r.rd.ReadFrame()
		if err != nil {
			return 0, err
		}
		if len(f.Body) > 0 {
			return wire.PeekCode(f.Body)
		}
	}
}

// grant tops the credit up and opens the window.
func (r *leanReader) grant() error {
	r.given = r.events + r.credit
	b, err := wire.AppendFrame(nil, 0, &wire.Flow{
		NextIncomingID: wire.Some(r.frames + 1), IncomingWindow: 1 << 20, OutgoingWindow: 100,
		Handle: wire.Some(uint32(0)), DeliveryCount: wire.Some(r.events), LinkCredit: wire.Some(r.credit),
	})
	if err == nil {
		_, err = r.nc.Write(b)
	}
	return err
}

// receive waits for one event. Events of the size that is measured take one frame.
func (r *leanReader) receive() error {
	for {
		code, err := r.next()
		switch {
		case err != nil:
			return err
		case code == wire.CodeTransfer:
			r.frames++
			r.events++
			if r.given-r.events <= r.credit/2 {
				return r.grant()
			}
			return nil
		case code != wire.CodeFlow:
			return fmt.Errorf("lean reader: ended with %v", code)
		}
	}
}
