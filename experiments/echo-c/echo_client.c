/* Asks, waits for the answer, asks again; then writes each round trip in ns: echo_client ADDRESS PORT SECONDS LOG */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char **argv)
{
	struct sockaddr_in there = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = 1 };
	char data[64] = { 0 };
	int64_t *trips = NULL;
	size_t made = 0, room = 0;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &there.sin_addr) != 1) {
		fprintf(stderr, "usage: echo_client ADDRESS PORT SECONDS LOG\n");
		return 2;
	}
	there.sin_port = htons((unsigned short)atoi(argv[2]));
	int client = socket(AF_INET, SOCK_DGRAM, 0);
	if (client < 0 || setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
	    connect(client, (struct sockaddr *)&there, sizeof there) != 0) {
		perror("echo_client");
		return 1;
	}
	int64_t end = now_ns() + (int64_t)(atof(argv[3]) * 1e9);
	for (int64_t begun = now_ns(); begun < end; begun = now_ns()) {
		if (made == room) {
			room = room ? 2 * room : 1 << 16;
			trips = realloc(trips, room * sizeof *trips);
			if (!trips)
				return 1;
		}
		/* A number below 0 is a request that was never answered. */
		int answered = send(client, data, sizeof data, 0) >= 0 && recv(client, data, sizeof data, 0) >= 0;
		trips[made++] = answered ? now_ns() - begun : -1;
	}
	FILE *log = fopen(argv[4], "w");
	if (!log) {
		perror(argv[4]);
		return 1;
	}
	for (size_t i = 0; i < made; i++)
		fprintf(log, "%lld\n", (long long)trips[i]);
	return fclose(log) != 0;
}
