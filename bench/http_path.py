"""What an application does that calls an HTTP service after its INSERT, in the request: threads that wait for both."""

import threading
import time
from http.client import HTTPConnection

import psycopg

from bench.sink import Sink

NO_CALL = "threads without a call"
KEEP_ALIVE = "threads with a call, connection kept"
NEW_CONNECTION = "threads with a call, a connection each"
_INSERT = (
    "INSERT INTO shop.orders (customer_id, status, amount, currency, title, note, street, city, placed_at)"
    " VALUES (%s, 'paid', 100, 'EUR', 'A lamp that stands on its own feet', repeat('a word ', 12),"
    " 'Long Street 12, second floor', 'Springfield', now())"
)
_BODY = b'{"event": "order.written", "customer_id": 1, "amount": 100}'


def calling(url: str, sink: Sink, how: str, *, clients: int, seconds: float) -> float:
    """Return how many INSERTs a second the threads manage together."""
    stop, counts = threading.Event(), [0] * clients

    def work(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", sink.port)
        with psycopg.connect(url, autocommit=True) as conn:
            while not stop.is_set():
                conn.execute(_INSERT, (number,), prepare=True)
                if how != NO_CALL:
                    connection.request("POST", "/hook", _BODY)
                    connection.getresponse().read()
                if how == NEW_CONNECTION:
                    connection.close()
                counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    began, before = time.monotonic(), sum(counts)
    time.sleep(seconds)
    done, took = sum(counts) - before, time.monotonic() - began
    stop.set()
    for thread in threads:
        thread.join()
    return done / took
