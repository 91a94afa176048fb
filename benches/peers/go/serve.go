package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	pb "google.golang.org/grpc/examples/route_guide/routeguide"
)

// The notes that are remembered before all are forgotten, as the Rust peers do.
const mostNotes = 1000

func serve(arguments []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	data := flags.String("data", "", "the JSON file of features")
	repeat := flags.Int("repeat", 1000, "how often the features are there")
	cert := flags.String("cert", "", "the certificate, in PEM; with -key it serves TLS")
	key := flags.String("key", "", "the certificate's key")
	workers := flags.Int("workers", 0, "goroutines that serve streams; 0 starts one for each stream")
	flags.Parse(arguments)

	guide, err := load(*data, *repeat)
	if err != nil {
		return err
	}
	options := []grpc.ServerOption{
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.MaxConcurrentStreams(concurrentStreams),
		grpc.MaxRecvMsgSize(largestMessage),
		grpc.MaxSendMsgSize(largestMessage),
		grpc.SharedWriteBuffer(true),
		grpc.NumStreamWorkers(uint32(*workers)),
	}
	if *cert != "" {
		transport, err := credentials.NewServerTLSFromFile(*cert, *key)
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(transport))
	}
	server := grpc.NewServer(options...)
	pb.RegisterRouteGuideServer(server, guide)
	server.RegisterService(&blobs, nil)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := announce(listener.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() {
		<-told
		server.Stop()
	}()
	return server.Serve(listener)
}

type place struct{ latitude, longitude int32 }

func placeOf(point *pb.Point) place {
	return place{point.GetLatitude(), point.GetLongitude()}
}

type routeGuide struct {
	pb.UnimplementedRouteGuideServer
	features []*pb.Feature
	places   map[place]*pb.Feature

	mu    sync.Mutex
	notes map[place][]*pb.RouteNote
}

func load(file string, repeat int) (*routeGuide, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var published []*pb.Feature
	if err := json.Unmarshal(text, &published); err != nil {
		return nil, err
	}
	guide := &routeGuide{places: make(map[place]*pb.Feature), notes: make(map[place][]*pb.RouteNote)}
	for range repeat {
		guide.features = append(guide.features, published...)
	}
	for _, feature := range published {
		guide.places[placeOf(feature.Location)] = feature
	}
	return guide, nil
}

func (g *routeGuide) GetFeature(_ context.Context, point *pb.Point) (*pb.Feature, error) {
	if feature, known := g.places[placeOf(point)]; known {
		return feature, nil
	}
	return &pb.Feature{Location: point}, nil
}

func (g *routeGuide) ListFeatures(area *pb.Rectangle, stream grpc.ServerStreamingServer[pb.Feature]) error {
	bottom, top := min(area.Lo.Latitude, area.Hi.Latitude), max(area.Lo.Latitude, area.Hi.Latitude)
	left, right := min(area.Lo.Longitude, area.Hi.Longitude), max(area.Lo.Longitude, area.Hi.Longitude)
	for _, feature := range g.features {
		at := placeOf(feature.Location)
		if at.latitude < bottom || at.latitude > top || at.longitude < left || at.longitude > right {
			continue
		}
		if err := stream.Send(feature); err != nil {
			return err
		}
	}
	return nil
}

func (g *routeGuide) RecordRoute(stream grpc.ClientStreamingServer[pb.Point, pb.RouteSummary]) error {
	begun := time.Now()
	var summary pb.RouteSummary
	var last *pb.Point
	for {
		point, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			summary.ElapsedTime = int32(time.Since(begun).Seconds())
			return stream.SendAndClose(&summary)
		}
		if err != nil {
			return err
		}
		summary.PointCount++
		if _, known := g.places[placeOf(point)]; known {
			summary.FeatureCount++
		}
		if last != nil {
			summary.Distance += distance(last, point)
		}
		last = point
	}
}

func (g *routeGuide) RouteChat(stream grpc.BidiStreamingServer[pb.RouteNote, pb.RouteNote]) error {
	for {
		note, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, answer := range g.leave(note) {
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
	}
}

func (g *routeGuide) leave(note *pb.RouteNote) []*pb.RouteNote {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.notes) >= mostNotes {
		clear(g.notes)
	}
	at := placeOf(note.Location)
	g.notes[at] = append(g.notes[at], note)
	return append([]*pb.RouteNote(nil), g.notes[at]...)
}

// distance is in metres along the surface, by the haversine formula.
func distance(from, to *pb.Point) int32 {
	radians := func(angle int32) float64 { return float64(angle) / 1e7 * math.Pi / 180 }
	halfSine := func(from, to float64) float64 { sine := math.Sin((to - from) / 2); return sine * sine }
	fromLatitude, toLatitude := radians(from.Latitude), radians(to.Latitude)
	square := halfSine(fromLatitude, toLatitude) +
		math.Cos(fromLatitude)*math.Cos(toLatitude)*halfSine(radians(from.Longitude), radians(to.Longitude))
	return int32(6371000 * 2 * math.Atan2(math.Sqrt(square), math.Sqrt(1-square)))
}
