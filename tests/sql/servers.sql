-- Foreign servers: there are none beside the embedded store.
\des
\dew
\det
