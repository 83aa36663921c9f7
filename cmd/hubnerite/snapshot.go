package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/hubnerite/hubnerite/emulator"
)

// snapshotCmd groups the commands for snapshots.
type snapshotCmd struct {
	Save    snapshotSaveCmd    `cmd:"" help:"Keep the state of all hubs, or of that of --hub, under a name."`
	List    snapshotListCmd    `cmd:"" help:"List the snapshots with the time and the hubs of each."`
	Restore snapshotRestoreCmd `cmd:"" help:"Make the hubs of a snapshot, or that of --hub, what they were."`
	Delete  snapshotDeleteCmd  `cmd:"" help:"Forget a snapshot."`
}

func snapshotPath(name string) string { return "/snapshots/" + url.PathEscape(name) }

type snapshotSaveCmd struct {
	Name string `arg:"" help:"Name of the snapshot; one of that name is replaced."`
}

// Run makes a snapshot.
func (c *snapshotSaveCmd) Run(a *app) error {
	_, err := a.request(http.MethodPut, snapshotPath(c.Name), nil, askTimeout)
	return err
}

type snapshotListCmd struct{}

// Run lists the snapshots.
func (c *snapshotListCmd) Run(a *app) error {
	text, err := a.ask("/snapshots")
	if err != nil {
		return err
	}
	var answer struct{ Snapshots []emulator.SnapshotInfo }
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	out := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, s := range answer.Snapshots {
		_, _ = fmt.Fprintf(out, "%s\t%s\t%s\n", s.Name, s.Created, strings.Join(s.Hubs, " "))
	}
	return out.Flush()
}

type snapshotRestoreCmd struct {
	Name string `arg:"" help:"Name of the snapshot."`
}

// Run restores a snapshot.
func (c *snapshotRestoreCmd) Run(a *app) error {
	_, err := a.request(http.MethodPost, snapshotPath(c.Name)+"/restore", nil, askTimeout)
	return err
}

type snapshotDeleteCmd struct {
	Name string `arg:"" help:"Name of the snapshot."`
}

// Run forgets a snapshot.
func (c *snapshotDeleteCmd) Run(a *app) error {
	_, err := a.request(http.MethodDelete, snapshotPath(c.Name), nil, askTimeout)
	return err
}
