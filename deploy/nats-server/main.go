// Command nats-server is NATS' own server with quicker elections.
//
// Of three servers that keep a log, the two that are left wait 4 to 9 s before they elect another leader: spans that the server has as
// variables and offers no setting for. Here they are 1 to 2.5 s, with four heartbeats a second instead of one, so that a log has a leader
// again about as soon as a standby leads. Everything else is the released module, unchanged: options, files, protocol.
//
// What it costs: a server that is silent for a second (a full disk, a paused virtual machine) may lose the logs that it leads. An
// election is no fault, only time. It is not for servers that are far apart.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/nats-io/nats-server/v2/server"
)

//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

func main() {
	minElectionTimeout, maxElectionTimeout = 1000*time.Millisecond, 2500*time.Millisecond
	hbInterval = 250 * time.Millisecond

	flags := flag.NewFlagSet("nats-server", flag.ExitOnError)
	options, err := server.ConfigureOptions(flags, os.Args[1:], server.PrintServerAndExit, flags.Usage, server.PrintTLSHelpAndDie)
	if err != nil {
		server.PrintAndDie(fmt.Sprintf("nats-server: %s", err))
	}
	s, err := server.NewServer(options)
	if err != nil {
		server.PrintAndDie(fmt.Sprintf("nats-server: %s", err))
	}
	s.ConfigureLogger()
	s.Noticef("Elections after %v to %v of silence", minElectionTimeout, maxElectionTimeout)
	if err := server.Run(s); err != nil {
		server.PrintAndDie(err.Error())
	}
	s.WaitForShutdown()
}
