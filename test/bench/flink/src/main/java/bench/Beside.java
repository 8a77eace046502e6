package bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/**
 * One pipeline in one slot of a Flink that runs in this process, with objects reused: the peer of `../beside-segment.ts`, which makes the
 * same records and does the same to them. Prints a line of JSON for each measured segment.
 *
 * <p>Usage: Beside workload [keys=N] [checkpointMs=N] [backend=hashmap|rocksdb] [warm=S] [seconds=S] [segments=N]
 */
public final class Beside {
  /** Event time of the first record, in milliseconds. */
  private static final long BASE_MS = 1_700_000_000_000L;

  /** Records that share a millisecond of event time. */
  private static final int RECORDS_PER_MS = 100;

  private static final int DISORDER_MS = 1000;
  private static final Duration WINDOW = Duration.ofSeconds(10);
  private static final Duration GAP = Duration.ofMillis(500);

  /** Written by the source's thread alone. */
  private static volatile long made;

  /** Written by the last operator's thread alone. */
  private static volatile long results;

  public static final class Record {
    public long key;
    public long ts;
    public long value;

    public Record() {}

    Record(long key, long ts, long value) {
      this.key = key;
      this.ts = ts;
      this.value = value;
    }
  }

  /** MurmurHash3's finaliser: all bits of the result depend on all bits of the index. */
  static int mix(int h) {
    h = (h ^ (h >>> 16)) * 0x85ebca6b;
    h = (h ^ (h >>> 13)) * 0xc2b2ae35;
    return h ^ (h >>> 16);
  }

  private static final class Make implements GeneratorFunction<Long, Record> {
    private final int keys;
    private long count;

    Make(int keys) {
      this.keys = keys;
    }

    @Override
    public Record map(Long index) {
      count += 1;
      if ((count & 1023) == 0) made = count;
      int hash = mix((int) (long) index);
      long ts = BASE_MS + index / RECORDS_PER_MS - (hash & 0xfff) % DISORDER_MS;
      return new Record((hash >>> 12) % keys, ts, hash & 1023);
    }
  }

  private static final class Count extends KeyedProcessFunction<Long, Record, Record> {
    private transient ValueState<Long> count;

    @Override
    public void open(OpenContext context) {
      count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
    }

    @Override
    public void processElement(Record record, Context context, Collector<Record> out) throws Exception {
      Long before = count.value();
      long now = before == null ? 1 : before + 1;
      count.update(now);
      out.collect(new Record(record.key, record.ts, now));
    }
  }

  /** Counts into `ts` and sums into `value`. */
  private static final class CountAndSum implements AggregateFunction<Record, Record, Record> {
    @Override
    public Record createAccumulator() {
      return new Record();
    }

    @Override
    public Record add(Record record, Record accumulator) {
      accumulator.ts += 1;
      accumulator.value += record.value;
      return accumulator;
    }

    @Override
    public Record getResult(Record accumulator) {
      return accumulator;
    }

    @Override
    public Record merge(Record a, Record b) {
      a.ts += b.ts;
      a.value += b.value;
      return a;
    }
  }

  private static final class OfWindow extends ProcessWindowFunction<Record, Record, Long, TimeWindow> {
    @Override
    public void process(Long key, Context context, Iterable<Record> sums, Collector<Record> out) {
      out.collect(new Record(key, context.window().getEnd(), sums.iterator().next().value));
    }
  }

  private static final class CountResults implements MapFunction<Record, Record> {
    private long count;

    @Override
    public Record map(Record record) {
      count += 1;
      results = count;
      return record;
    }
  }

  private static DataStream<Record> pipeline(DataStream<Record> records, String workload) {
    switch (workload) {
      case "map-filter":
        return mapped(records).filter(record -> (record.value & 7) != 0);
      case "ten-stateless":
        DataStream<Record> stream = records;
        for (int step = 0; step < 5; step += 1) stream = mapped(stream).filter(record -> (record.value & 1023) != 5);
        return stream;
      case "keyed-count":
        return records.keyBy(record -> record.key).process(new Count());
      case "two-stage":
        return records.keyBy(record -> record.key).process(new Count()).keyBy(record -> record.key % 100).process(new Count());
      case "session":
        return records.keyBy(record -> record.key).window(EventTimeSessionWindows.withGap(GAP)).aggregate(new CountAndSum(), new OfWindow());
      case "tumbling":
        return records.keyBy(record -> record.key).window(TumblingEventTimeWindows.of(WINDOW)).aggregate(new CountAndSum(), new OfWindow());
      default:
        throw new IllegalArgumentException("no workload " + workload);
    }
  }

  private static DataStream<Record> mapped(DataStream<Record> records) {
    MapFunction<Record, Record> step =
        record -> {
          record.value = record.value * 31 + 7 & 0xffffff;
          return record;
        };
    return records.map(step).returns(Record.class);
  }

  public static void main(String[] args) throws Exception {
    Map<String, String> options = new HashMap<>();
    for (int i = 1; i < args.length; i += 1) options.put(args[i].split("=")[0], args[i].split("=")[1]);
    String workload = args[0];
    long checkpointMs = Long.parseLong(options.getOrDefault("checkpointMs", "0"));
    Path directory = Files.createTempDirectory("beside-flink");

    StreamExecutionEnvironment env = environment(checkpointMs, options.getOrDefault("backend", "hashmap"), directory);
    WatermarkStrategy<Record> strategy =
        workload.equals("tumbling") || workload.equals("session")
            ? WatermarkStrategy.<Record>forBoundedOutOfOrderness(Duration.ofMillis(DISORDER_MS)).withTimestampAssigner((record, at) -> record.ts)
            : WatermarkStrategy.noWatermarks();
    Make make = new Make(Integer.parseInt(options.getOrDefault("keys", "10000")));
    DataStream<Record> records =
        env.fromSource(new DataGeneratorSource<>(make, Long.MAX_VALUE, TypeInformation.of(Record.class)), strategy, "records");
    pipeline(records, workload).map(new CountResults()).returns(Record.class).sinkTo(new DiscardingSink<>());

    JobClient job = env.executeAsync(workload);
    measure(options);
    job.cancel().get();
    System.exit(0);
  }

  private static StreamExecutionEnvironment environment(long checkpointMs, String backend, Path directory) {
    Configuration configuration = new Configuration();
    configuration.setString("taskmanager.numberOfTaskSlots", "1");
    configuration.setString("pipeline.object-reuse", "true");
    configuration.setString("pipeline.generic-types", "false");
    configuration.setString("state.backend.type", backend);
    configuration.setString("taskmanager.memory.managed.size", "512m");
    configuration.setString("execution.checkpointing.dir", directory.toUri().toString());
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, configuration);
    if (checkpointMs > 0) env.enableCheckpointing(checkpointMs);
    return env;
  }

  private static void measure(Map<String, String> options) throws InterruptedException {
    OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long seconds = Long.parseLong(options.getOrDefault("seconds", "2"));
    while (made == 0) Thread.sleep(10); // The job is being deployed.
    Thread.sleep(1000 * Long.parseLong(options.getOrDefault("warm", "5")));
    for (int segment = Integer.parseInt(options.getOrDefault("segments", "2")); segment > 0; segment -= 1) {
      long[] before = {System.nanoTime(), system.getProcessCpuTime(), made, results};
      Thread.sleep(1000 * seconds);
      long[] after = {System.nanoTime(), system.getProcessCpuTime(), made, results};
      double events = after[2] - before[2];
      System.out.printf(
          "{\"perSecond\":%.0f,\"cpuNs\":%.1f,\"results\":%d}%n",
          events * 1e9 / (after[0] - before[0]), events == 0 ? 0 : (after[1] - before[1]) / events, after[3] - before[3]);
    }
  }
}
