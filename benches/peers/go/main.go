// Command go_peer is grpc-go as its users would have it for speed: windows as wide as barewire's, buffers for writes that
// are shared by connections, workers for streams. GOMAXPROCS is set by whoever runs it.
//
//	go_peer serve [-repeat N] [-cert FILE -key FILE]    the first line on stdout is the port
//	go_peer call -port P -count N [-in_flight M] unary|list|record
package main

import (
	"bufio"
	"fmt"
	"os"
)

const (
	streamWindow      = 1 << 20
	connectionWindow  = 16 << 20
	concurrentStreams = 1000
	largestMessage    = 32 << 20
)

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "serve":
		err = serve(os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "call":
		err = call(os.Args[2:])
	default:
		fmt.Fprintln(os.Stderr, "go_peer: give serve or call")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "go_peer:", err)
		os.Exit(1)
	}
}

// announce prints the port, for the harness to read.
func announce(port int) error {
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, port)
	return out.Flush()
}
