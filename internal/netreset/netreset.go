// Package netreset ends connections the rude way, for fault injection.
package netreset

import "net"

// Reset ends the TCP connection under c with a reset: nothing is said on the
// layers above, and what was not sent yet is lost. TLS and WebSocket connections
// are asked for what is below them by the methods NetConn and Raw. Reset may be
// called from any goroutine.
func Reset(c net.Conn) {
	for {
		switch t := c.(type) {
		case *net.TCPConn:
			_ = t.SetLinger(0)
			_ = t.Close()
			return
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		case interface{ Raw() net.Conn }:
			c = t.Raw()
		default:
			_ = c.Close()
			return
		}
	}
}
