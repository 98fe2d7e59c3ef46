/* Sends every datagram back to whoever sent it: echo_server ADDRESS PORT */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in here = { .sin_family = AF_INET };
	char data[2048];

	if (argc != 3 || inet_pton(AF_INET, argv[1], &here.sin_addr) != 1) {
		fprintf(stderr, "usage: echo_server ADDRESS PORT\n");
		return 2;
	}
	here.sin_port = htons((unsigned short)atoi(argv[2]));
	int server = socket(AF_INET, SOCK_DGRAM, 0);
	if (server < 0 || bind(server, (struct sockaddr *)&here, sizeof here) != 0) {
		perror("echo_server");
		return 1;
	}
	for (;;) {
		struct sockaddr_in peer;
		socklen_t size = sizeof peer;
		ssize_t got = recvfrom(server, data, sizeof data, 0, (struct sockaddr *)&peer, &size);

		if (got >= 0)
			sendto(server, data, (size_t)got, 0, (struct sockaddr *)&peer, size);
	}
}
