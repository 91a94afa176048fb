// Command record_route_million streams a great many points to RecordRoute in one call, as a stock
// grpc-go client does: one Send for each point, no batching, nothing tuned.
//
// A message of a negative point is 22 bytes (two tags, two ten-byte varints), so a million of them
// reach the server as a flood of tiny DATA payloads. This tests servers whose HTTP/2 layer might
// treat many small frames as an attack.
//
// On success it prints one line, "points=N seconds=S", N being the summary's point_count, and
// exits 0. Any error, a miscounted summary included, goes to stderr and the exit status is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/examples/route_guide/routeguide"
)

var (
	addr     = flag.String("addr", "localhost:50051", "server address, host:port")
	points   = flag.Int("points", 1_000_000, "how many points to send")
	timeout  = flag.Duration("timeout", 5*time.Minute, "deadline of the whole call; 0 sends none")
	useTLS   = flag.Bool("tls", false, "connect with TLS; needs -ca_file")
	caFile   = flag.String("ca_file", "", "PEM file of the certificate authority to trust")
	override = flag.String("server_host_override", "x.test.example.com", "name to verify the server's certificate against")
)

func main() {
	flag.Parse()
	started := time.Now()
	summary, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "record_route_million:", err)
		os.Exit(1)
	}
	fmt.Printf("points=%d seconds=%.3f\n", summary.GetPointCount(), time.Since(started).Seconds())
	if int(summary.GetPointCount()) != *points {
		fmt.Fprintf(os.Stderr, "record_route_million: sent %d points, the summary counts %d\n", *points, summary.GetPointCount())
		os.Exit(1)
	}
}

func run() (*pb.RouteSummary, error) {
	// point_count is an int32.
	if *points < 0 || *points > math.MaxInt32 {
		return nil, fmt.Errorf("-points %d: use 0 to %d", *points, math.MaxInt32)
	}
	transport, err := transportCredentials()
	if err != nil {
		return nil, err
	}
	connection, err := grpc.NewClient(*addr, grpc.WithTransportCredentials(transport))
	if err != nil {
		return nil, fmt.Errorf("-addr %s: %w", *addr, err)
	}
	defer connection.Close()

	ctx := context.Background()
	if *timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *timeout)
		defer cancel()
	}
	return recordRoute(ctx, pb.NewRouteGuideClient(connection))
}

func transportCredentials() (credentials.TransportCredentials, error) {
	if !*useTLS {
		return insecure.NewCredentials(), nil
	}
	if *caFile == "" {
		return nil, errors.New("-tls needs -ca_file")
	}
	transport, err := credentials.NewClientTLSFromFile(*caFile, *override)
	if err != nil {
		return nil, fmt.Errorf("-ca_file %s: %w", *caFile, err)
	}
	return transport, nil
}

func recordRoute(ctx context.Context, client pb.RouteGuideClient) (*pb.RouteSummary, error) {
	stream, err := client.RecordRoute(ctx)
	if err != nil {
		return nil, fmt.Errorf("RecordRoute: %w", err)
	}
	for i := range *points {
		err := stream.Send(point(i))
		// io.EOF means only that the call is over; its status comes with the answer below. A server
		// that answers early with OK returns a wrong count.
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("Send of point %d: %w", i, err)
		}
	}
	summary, err := stream.CloseAndRecv()
	if err != nil {
		return nil, fmt.Errorf("RecordRoute: %w", err)
	}
	return summary, nil
}

// point returns a place in the south-west quarter of the map, where both coordinates are negative
// and none of the example's features lies. It is a new message each time: grpc-go forbids changing
// one that has been sent.
func point(i int) *pb.Point {
	step := int32(i % 900_000_000)
	return &pb.Point{Latitude: -1 - step, Longitude: -1 - 2*step}
}
