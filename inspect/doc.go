// Package inspect looks over the shoulder of connections: what goes over them, cut into frames and decoded, for people
// who debug. It watches only when asked to, keeps a bounded number of the last frames, and knows no protocol; front ends
// bring a Codec each. What it shows carries no signatures and no keys.
package inspect
