"""Cities that shoppers live in and travel to: country, degrees north, degrees east."""

from __future__ import annotations

from typing import Final, NamedTuple


class City(NamedTuple):
    """A place that people pay from."""

    name: str
    country: str
    latitude: float
    longitude: float


CITIES: Final = (
    City("Berlin", "DE", 52.52, 13.40),
    City("Hamburg", "DE", 53.55, 9.99),
    City("Munich", "DE", 48.14, 11.58),
    City("Cologne", "DE", 50.94, 6.96),
    City("Vienna", "AT", 48.21, 16.37),
    City("Zurich", "CH", 47.37, 8.54),
    City("Paris", "FR", 48.86, 2.35),
    City("Lyon", "FR", 45.76, 4.84),
    City("Madrid", "ES", 40.42, -3.70),
    City("Rome", "IT", 41.90, 12.50),
    City("Amsterdam", "NL", 52.37, 4.90),
    City("Warsaw", "PL", 52.23, 21.01),
    City("London", "GB", 51.51, -0.13),
    City("Manchester", "GB", 53.48, -2.24),
    City("Glasgow", "GB", 55.86, -4.25),
    City("Dublin", "IE", 53.35, -6.26),
    City("New York", "US", 40.71, -74.01),
    City("Chicago", "US", 41.88, -87.63),
    City("Dallas", "US", 32.78, -96.80),
    City("Los Angeles", "US", 34.05, -118.24),
    City("Seattle", "US", 47.61, -122.33),
    City("Miami", "US", 25.76, -80.19),
    City("Cincinnati", "US", 39.10, -84.51),
    City("Toronto", "CA", 43.65, -79.38),
    City("Mexico City", "MX", 19.43, -99.13),
    City("Sao Paulo", "BR", -23.55, -46.63),
    City("Lagos", "NG", 6.52, 3.38),
    City("Bucharest", "RO", 44.43, 26.10),
    City("Kyiv", "UA", 50.45, 30.52),
    City("Istanbul", "TR", 41.01, 28.98),
    City("Mumbai", "IN", 19.08, 72.88),
    City("Jakarta", "ID", -6.21, 106.85),
    City("Ho Chi Minh City", "VN", 10.82, 106.63),
    City("Tokyo", "JP", 35.68, 139.69),
    City("Osaka", "JP", 34.69, 135.50),
    City("Fukuoka", "JP", 33.59, 130.40),
    City("Seoul", "KR", 37.57, 126.98),
    City("Sydney", "AU", -33.87, 151.21),
)
